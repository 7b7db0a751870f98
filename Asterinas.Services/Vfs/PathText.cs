using System;
using System.Text;

namespace Asterinas.Services.Vfs;

/// <summary>Paths of places as a thread sees them: getcwd(2), /proc/PID/fd, exe, maps, mounts.</summary>
internal static class PathText
{
    private const int MostDepth = 4096;

    /// <summary>The path from the thread's root; with " (deleted)" behind a name that is gone. A place outside of the root has no leading part: "(unreachable)" is put before it.</summary>
    public static string Of(VfsPath path, Thread viewer) => Encoding.Latin1.GetString(BytesOf(path, viewer.FileSystem.Root, out bool isReachable)) is var text && isReachable ? text : "(unreachable)" + text;

    /// <summary>The path from a root, as bytes. Renames that happen meanwhile make it look again.</summary>
    public static byte[] BytesOf(VfsPath path, VfsPath root, out bool isReachable)
    {
        while (true)
        {
            int sequence = DentryCache.RenameSequence;
            byte[] text = Walk(path, root, out isReachable);
            if (sequence == DentryCache.RenameSequence) return text;
        }
    }

    private static byte[] Walk(VfsPath path, VfsPath root, out bool isReachable)
    {
        var text = new byte[256];
        int start = text.Length;
        if (path.Dentry.IsUnlinked) Prepend(ref text, ref start, " (deleted)"u8);
        int tail = start;
        VfsPath at = path;
        isReachable = true;
        for (int depth = 0; !(ReferenceEquals(at.Mount, root.Mount) && ReferenceEquals(at.Dentry, root.Dentry)) && depth < MostDepth; depth++)
        {
            if (at.Mount is { } mount && ReferenceEquals(at.Dentry, mount.Root))
            {
                if (mount.Place is not { } place)
                {
                    // The top of the tree, or of a mount that is in no tree any more.
                    isReachable = mount.Namespace is not null && ReferenceEquals(mount.Namespace.Root, mount) && ReferenceEquals(root.Mount, mount);
                    break;
                }
                at = new VfsPath(place.Parent, place.Point);
                continue;
            }
            if (at.Dentry.IsRoot)
            {
                isReachable = at.Mount is null;
                if (at.Mount is null) Prepend(ref text, ref start, at.Dentry.Name);
                break;
            }
            Prepend(ref text, ref start, at.Dentry.Name);
            Prepend(ref text, ref start, "/"u8);
            at = new VfsPath(at.Mount, at.Dentry.Parent);
        }
        if (start == tail && path.Mount is not null) Prepend(ref text, ref start, "/"u8);
        return text[start..];
    }

    private static void Prepend(ref byte[] text, ref int start, ReadOnlySpan<byte> part)
    {
        if (part.Length > start)
        {
            int used = text.Length - start;
            var larger = new byte[Math.Max(text.Length * 2, used + part.Length + 64)];
            text.AsSpan(start).CopyTo(larger.AsSpan(larger.Length - used));
            start = larger.Length - used;
            text = larger;
        }
        start -= part.Length;
        part.CopyTo(text.AsSpan(start));
    }
}
