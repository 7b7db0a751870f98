using System;
using System.Collections.Generic;

namespace Asterinas.Services.Vfs;

/// <summary>A type of file system that mount(2) knows.</summary>
/// <param name="Name">As in /proc/filesystems.</param>
/// <param name="NeedsDevice">Whether it is on a block device.</param>
/// <param name="Create">Makes one for a thread, with a source and options. EINVAL for options that it does not know.</param>
internal sealed record FileSystemType(string Name, bool NeedsDevice, Func<Thread, string, string, Result<FileSystem>> Create);

/// <summary>The types of file systems, in the order of their registration.</summary>
internal static class FileSystemRegistry
{
    private static readonly List<FileSystemType> s_types = [];

    public static IReadOnlyList<FileSystemType> Types => s_types;

    /// <summary>Makes a type known. At boot only.</summary>
    public static void Register(FileSystemType type) => s_types.Add(type);

    /// <summary>The type with a name; null for none.</summary>
    public static FileSystemType? Find(string name) => s_types.Find(type => type.Name == name);
}
