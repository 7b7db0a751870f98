using System;
using System.Text;

namespace Asterinas.Services.Vfs;

/// <summary>The path of a place, as getcwd(2) and /proc show it.</summary>
internal static class PathText
{
    /// <summary>Most bytes of a path with its zero byte (PATH_MAX).</summary>
    public const int MostBytes = 4096;

    /// <summary>
    /// Writes the path of a place as seen from a root. Returns its bytes, a part of the buffer; ENAMETOOLONG when it does not fit. What lies outside of the root comes with
    /// <paramref name="isReachable"/> false, and then begins at the top of the tree.
    /// </summary>
    public static Errno Write(VfsPath place, VfsPath root, Span<byte> buffer, out ReadOnlySpan<byte> path, out bool isReachable)
    {
        while (true)
        {
            int sequence = DentryCache.RenameSequence;
            Errno error = TryWrite(place, root, buffer, out path, out isReachable);
            // A name that changed on the way would make a path that never was.
            if ((sequence & 1) == 0 && DentryCache.RenameSequence == sequence) return error;
            Task.YieldIfNeeded();
        }
    }

    /// <summary>Whether the place, or a directory above, has lost its name.</summary>
    public static bool IsGone(VfsPath place) => place.Dentry.IsUnlinked;

    /// <summary>The path as text for /proc: with " (deleted)" for what has lost its name.</summary>
    public static byte[] Describe(VfsPath place, VfsPath root)
    {
        Span<byte> buffer = stackalloc byte[MostBytes];
        if (place.Mount is null) return place.Dentry.Name;
        Errno error = Write(place, root, buffer, out ReadOnlySpan<byte> path, out bool isReachable);
        if (error != Errno.None) return [];
        ReadOnlySpan<byte> head = isReachable ? default : "(unreachable)"u8, tail = IsGone(place) ? " (deleted)"u8 : default;
        return [.. head, .. path, .. tail];
    }

    /// <summary>The same as a string, from a thread's root. Each character is a byte.</summary>
    public static string Of(VfsPath place, Thread viewer) => Encoding.Latin1.GetString(Describe(place, viewer.FileSystem.Root));

    private static Errno TryWrite(VfsPath place, VfsPath root, Span<byte> buffer, out ReadOnlySpan<byte> path, out bool isReachable)
    {
        int start = buffer.Length;
        isReachable = true;
        path = default;
        while (!(ReferenceEquals(place.Dentry, root.Dentry) && ReferenceEquals(place.Mount, root.Mount)))
        {
            if (place.Mount is null || place.Dentry.IsRoot || ReferenceEquals(place.Dentry, place.Mount.Root))
            {
                if (place.Mount?.Place is { } above)
                {
                    place = new VfsPath(above.Parent, above.Point);
                    continue;
                }
                isReachable = false;
                break;
            }
            byte[] name = place.Dentry.Name;
            if (start < name.Length + 1) return Errno.ENAMETOOLONG;
            start -= name.Length;
            name.CopyTo(buffer[start..]);
            buffer[--start] = (byte)'/';
            place = new VfsPath(place.Mount, place.Dentry.Parent);
        }
        if (start == buffer.Length)
        {
            if (start == 0) return Errno.ENAMETOOLONG;
            buffer[--start] = (byte)'/';
        }
        path = buffer[start..];
        return Errno.None;
    }
}
