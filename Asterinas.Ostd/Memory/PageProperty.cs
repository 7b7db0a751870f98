using System;

namespace Asterinas.Ostd.Memory;

/// <summary>What a user program may do with a page. x86-64 has no page that can be written or executed but not read.</summary>
[Flags]
public enum PageAccess
{
    /// <summary>Nothing: the page stays mapped, but every access faults. Given by <see cref="VmCursor.Protect"/> only.</summary>
    None = 0,
    /// <summary>Read.</summary>
    Read = 1,
    /// <summary>Write.</summary>
    Write = 2,
    /// <summary>Execute.</summary>
    Execute = 4,
    /// <summary>Read and write.</summary>
    ReadWrite = Read | Write,
    /// <summary>Read and execute.</summary>
    ReadExecute = Read | Execute,
}

/// <summary>How the CPU caches a mapping (SDM vol. 3 §12.3).</summary>
public enum CacheMode
{
    /// <summary>Write-back: RAM.</summary>
    WriteBack,
    /// <summary>Write-combining: frame buffers.</summary>
    WriteCombining,
    /// <summary>Uncached: device registers.</summary>
    Uncached,
}

/// <summary>Property of a user mapping.</summary>
/// <param name="Access">What the program may do; includes <see cref="PageAccess.Read"/>.</param>
/// <param name="Cache">How it is cached.</param>
public readonly record struct PageProperty(PageAccess Access, CacheMode Cache = CacheMode.WriteBack)
{
    private const PageAccess Known = PageAccess.Read | PageAccess.Write | PageAccess.Execute;

    /// <summary>Whether page tables can say it: readable, nothing unknown.</summary>
    public bool IsValid => (Access & PageAccess.Read) != 0 && (Access & ~Known) == 0 && Cache is >= CacheMode.WriteBack and <= CacheMode.Uncached;

    /// <summary>Whether a mapping may change to it: valid, or without any access.</summary>
    internal bool IsValidChange => IsValid || (Access == PageAccess.None && Cache == CacheMode.WriteBack);

    // Bits of a leaf entry, without the address. Write-combining is PAT entry 1, which boot sets up; uncached is entry 3.
    internal ulong ToEntry()
    {
        if (Access == PageAccess.None) return PageTable.Hidden;
        ulong entry = PageTable.Present | PageTable.User;
        if ((Access & PageAccess.Write) != 0) entry |= PageTable.Writable;
        if ((Access & PageAccess.Execute) == 0) entry |= PageTable.NoExecute;
        if (Cache == CacheMode.WriteCombining) entry |= PageTable.WriteThrough;
        if (Cache == CacheMode.Uncached) entry |= PageTable.WriteThrough | PageTable.CacheDisable;
        return entry;
    }

    internal static PageProperty FromEntry(ulong entry)
    {
        PageAccess access = PageAccess.None;
        if ((entry & PageTable.Hidden) == 0)
        {
            access = PageAccess.Read;
            if ((entry & PageTable.Writable) != 0) access |= PageAccess.Write;
            if ((entry & PageTable.NoExecute) == 0) access |= PageAccess.Execute;
        }
        CacheMode cache = (entry & PageTable.CacheDisable) != 0 ? CacheMode.Uncached
            : (entry & PageTable.WriteThrough) != 0 ? CacheMode.WriteCombining : CacheMode.WriteBack;
        return new PageProperty(access, cache);
    }
}
