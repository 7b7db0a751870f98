using System.Text;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.ProcFs;

/// <summary>/proc/PID/maps and smaps (man 5 proc_pid_maps).</summary>
internal static class MemoryMaps
{
    private const int NameColumn = 73;

    public static void Append(StringBuilder text, AddressSpace memory, bool isDetailed)
    {
        Thread viewer = Thread.Current!;
        for (ulong at = 0; memory.TryGetMapping(at, out AddressSpace.MappingView view); at = view.End)
        {
            int start = text.Length;
            Inode? inode = view.File?.Inode;
            DeviceNumber device = inode?.FileSystem.Device ?? default;
            text.Append(SystemFiles.Format($"{view.Start:x8}-{view.End:x8} "));
            text.Append((view.Protection & Protection.Read) != 0 ? 'r' : '-').Append((view.Protection & Protection.Write) != 0 ? 'w' : '-')
                .Append((view.Protection & Protection.Execute) != 0 ? 'x' : '-').Append(view.IsShared ? 's' : 'p');
            text.Append(SystemFiles.Format($" {(view.File is null ? 0 : view.ObjectPage << 12):x8} {device.Major:x2}:{device.Minor:x2} {inode?.Number ?? 0} "));
            string? name = view.File is { } file ? file.AnonymousName ?? PathText.Of(file.Path, viewer) : view.Name;
            if (name is not null)
            {
                while (text.Length - start < NameColumn) text.Append(' ');
                text.Append(name);
            }
            text.Append('\n');
            if (isDetailed) AppendDetails(text, view);
        }
    }

    private static void AppendDetails(StringBuilder text, in AddressSpace.MappingView view)
    {
        ulong kib = (view.End - view.Start) >> 10;
        text.Append(SystemFiles.Format($"Size:           {kib,8} kB\nKernelPageSize: {PageSize.Small >> 10,8} kB\nMMUPageSize:    {PageSize.Small >> 10,8} kB\n"));
    }
}
