using System;
using Asterinas.Ostd.Memory;

namespace Asterinas.Services.Memory;

/// <summary>PROT_ bits of mmap(2).</summary>
[Flags]
internal enum Protection
{
    None = 0,
    Read = 1,
    Write = 2,
    Execute = 4,
}

/// <summary>What somebody wants to do with memory.</summary>
internal enum Access
{
    Read,
    Write,
    Execute,
}

/// <summary>MAP_ bits of mmap(2), as in the ABI of x86-64.</summary>
[Flags]
internal enum MapFlags
{
    Shared = 0x01,
    Private = 0x02,
    SharedValidate = 0x03,
    TypeMask = 0x0F,
    Fixed = 0x10,
    Anonymous = 0x20,
    Below4GiB = 0x40,
    GrowsDown = 0x100,
    DenyWrite = 0x800,
    Executable = 0x1000,
    Locked = 0x2000,
    NoReserve = 0x4000,
    Populate = 0x8000,
    NonBlock = 0x10000,
    Stack = 0x20000,
    HugeTlb = 0x40000,
    Sync = 0x80000,
    FixedNoReplace = 0x100000,
}

/// <summary>How a page fault ended.</summary>
internal enum FaultOutcome
{
    /// <summary>The page is there: try again.</summary>
    Resolved,
    /// <summary>Nothing is mapped: SIGSEGV, SEGV_MAPERR.</summary>
    NotMapped,
    /// <summary>The mapping does not allow it: SIGSEGV, SEGV_ACCERR.</summary>
    NotAllowed,
    /// <summary>Beyond the end of the file, or the file's data could not be read: SIGBUS, BUS_ADRERR.</summary>
    BusError,
    /// <summary>No memory, and reclaim found none: the out-of-memory killer decides.</summary>
    OutOfMemory,
}
