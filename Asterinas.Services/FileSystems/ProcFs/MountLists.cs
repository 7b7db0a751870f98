using System;
using System.Collections.Generic;
using System.Text;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.ProcFs;

/// <summary>/proc/PID/mounts and mountinfo (man 5 proc_pid_mountinfo). Mounts outside of the process' root are left out.</summary>
internal static class MountLists
{
    public static void AppendMounts(StringBuilder text, Thread? subject)
    {
        foreach ((Mount mount, string place) in Visible(subject))
        {
            text.Append(Escape(mount.Source)).Append(' ').Append(Escape(place)).Append(' ').Append(mount.FileSystem.TypeName).Append(' ');
            AppendFlags(text, mount);
            text.Append(mount.FileSystem.Options).Append(" 0 0\n");
        }
    }

    public static void AppendMountInfo(StringBuilder text, Thread? subject)
    {
        foreach ((Mount mount, string place) in Visible(subject))
        {
            DeviceNumber device = mount.FileSystem.Device;
            string root = RootOf(mount);
            text.Append(SystemFiles.Format($"{mount.Id} {mount.Parent?.Id ?? mount.Id} {device.Major}:{device.Minor} ")).Append(Escape(root)).Append(' ').Append(Escape(place)).Append(' ');
            AppendFlags(text, mount);
            text.Append(" - ").Append(mount.FileSystem.TypeName).Append(' ').Append(Escape(mount.Source)).Append(' ');
            text.Append(mount.FileSystem.IsReadOnly ? "ro" : "rw").Append(mount.FileSystem.Options).Append('\n');
        }
    }

    private static IEnumerable<(Mount, string)> Visible(Thread? subject)
    {
        if (subject is null) yield break;
        VfsPath root = subject.FileSystem.Root;
        foreach (Mount mount in subject.Namespaces.Mount.Snapshot())
        {
            if (TryPlace(mount, root, out string place)) yield return (mount, place);
        }
    }

    private static bool TryPlace(Mount mount, VfsPath root, out string place)
    {
        Span<byte> buffer = stackalloc byte[PathText.MostBytes];
        Errno error = PathText.Write(new VfsPath(mount, mount.Root), root, buffer, out ReadOnlySpan<byte> path, out bool isReachable);
        place = Encoding.Latin1.GetString(path);
        return error == Errno.None && isReachable;
    }

    // The part of the file system that is mounted, as a path in it.
    private static string RootOf(Mount mount)
    {
        string text = "";
        for (Dentry at = mount.Root; !at.IsRoot; at = at.Parent) text = "/" + Encoding.Latin1.GetString(at.Name) + text;
        return text.Length == 0 ? "/" : text;
    }

    private static void AppendFlags(StringBuilder text, Mount mount)
    {
        text.Append(mount.IsReadOnly ? "ro" : "rw");
        Flag(MountFlags.NoSetuid, ",nosuid");
        Flag(MountFlags.NoDevices, ",nodev");
        Flag(MountFlags.NoExecute, ",noexec");
        Flag(MountFlags.NoAccessTime, ",noatime");
        Flag(MountFlags.NoDirectoryAccessTime, ",nodiratime");
        Flag(MountFlags.NoSymbolicLinks, ",nosymfollow");
        if ((mount.Flags & (MountFlags.NoAccessTime | MountFlags.StrictAccessTime)) == 0) text.Append(",relatime");

        void Flag(MountFlags flag, string name)
        {
            if ((mount.Flags & flag) != 0) text.Append(name);
        }
    }

    // White space and backslashes are octal (man 3 getmntent).
    private static string Escape(string text) => text.Replace("\\", "\\134").Replace(" ", "\\040").Replace("\t", "\\011").Replace("\n", "\\012");
}
