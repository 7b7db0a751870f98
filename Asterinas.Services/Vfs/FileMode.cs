using System;

namespace Asterinas.Services.Vfs;

/// <summary>Type of an inode, as the upper four bits of st_mode (man 7 inode).</summary>
internal enum InodeType
{
    Fifo = 0x1000,
    CharacterDevice = 0x2000,
    Directory = 0x4000,
    BlockDevice = 0x6000,
    Regular = 0x8000,
    SymbolicLink = 0xA000,
    Socket = 0xC000,
}

/// <summary>Flags of open(2) on x86-64: those of the call, and those that stay with the open file.</summary>
[Flags]
internal enum OpenFlags
{
    ReadOnly = 0,
    WriteOnly = 1,
    ReadWrite = 2,
    AccessMask = 3,
    Create = 0x40,
    Exclusive = 0x80,
    NoControllingTerminal = 0x100,
    Truncate = 0x200,
    Append = 0x400,
    NonBlock = 0x800,
    DataSync = 0x1000,
    Async = 0x2000,
    Direct = 0x4000,
    LargeFile = 0x8000,
    Directory = 0x10000,
    NoFollow = 0x20000,
    NoAccessTime = 0x40000,
    CloseOnExec = 0x80000,
    Sync = 0x101000,
    Path = 0x200000,
    TemporaryFile = 0x410000,
}

/// <summary>What an access asks of an inode's permission bits.</summary>
[Flags]
internal enum Permission
{
    None = 0,
    Execute = 1,
    Write = 2,
    Read = 4,
}

/// <summary>Events of poll(2); epoll(7) has the same bits.</summary>
[Flags]
internal enum PollEvents : uint
{
    None = 0,
    In = 0x001,
    Priority = 0x002,
    Out = 0x004,
    Error = 0x008,
    HangUp = 0x010,
    Invalid = 0x020,
    ReadNormal = 0x040,
    ReadBand = 0x080,
    WriteNormal = 0x100,
    WriteBand = 0x200,
    Message = 0x400,
    ReadHangUp = 0x2000,
    /// <summary>What a regular file always is.</summary>
    Always = In | Out | ReadNormal | WriteNormal,
}

/// <summary>A point of time in a file's metadata.</summary>
/// <param name="Seconds">Since 1970, may be negative.</param>
/// <param name="Nanoseconds">0 to 999,999,999.</param>
internal readonly record struct Timestamp(long Seconds, uint Nanoseconds);
