using System;
using System.Globalization;
using System.Threading;
using Asterinas.Ostd.Boot;
using Asterinas.Services.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.TmpFs;

/// <summary>
/// Files in memory (man 5 tmpfs): the page cache is the file, the directory's own tables are the directory. It is also what devtmpfs, the initial root, and files without names
/// (memfd_create) are made of.
/// </summary>
internal sealed class TmpFs : FileSystem, IPageQuota
{
    private const int PageBytes = 4096;

    private readonly TmpDirectory _root;
    private long _usedPages, _mostPages;
    private long _usedInodes, _mostInodes;
    private long _lastNumber;

    private TmpFs(string typeName, in TmpFsOptions options)
    {
        TypeName = typeName;
        _mostPages = options.Pages;
        _mostInodes = options.Inodes;
        TryChargeInode();
        _root = new TmpDirectory(this, NextNumber(), options.Permissions, options.Uid, options.Gid, null);
    }

    /// <summary>A new file system. EINVAL for options that tmpfs does not have.</summary>
    /// <param name="options">As for mount(2): size=, nr_blocks=, nr_inodes=, mode=, uid=, gid=.</param>
    /// <param name="typeName">tmpfs, or what else it is.</param>
    /// <param name="source">What it is mounted from, for /proc/mounts.</param>
    public static Result<TmpFs> Create(string options = "", string typeName = "tmpfs", string source = "tmpfs")
    {
        TmpFsOptions parsed = TmpFsOptions.Default;
        Errno error = parsed.Parse(options);
        return error != Errno.None ? error : new TmpFs(typeName, parsed) { Source = source };
    }

    public override string TypeName { get; }
    public override ulong Magic => 0x01021994;
    public override Inode Root => _root;

    public override string Options
    {
        get
        {
            string text = "";
            if (_mostPages != TmpFsOptions.Default.Pages && _mostPages != 0) text += string.Create(CultureInfo.InvariantCulture, $",size={_mostPages * (PageBytes / 1024)}k");
            if (_mostInodes != TmpFsOptions.Default.Inodes && _mostInodes != 0) text += string.Create(CultureInfo.InvariantCulture, $",nr_inodes={_mostInodes}");
            return text;
        }
    }

    public override FileSystemStatistics Statistics
    {
        get
        {
            ulong used = (ulong)Interlocked.Read(ref _usedPages), most = (ulong)_mostPages;
            ulong usedInodes = (ulong)Interlocked.Read(ref _usedInodes), mostInodes = (ulong)_mostInodes;
            ulong free = most > used ? most - used : 0;
            return new FileSystemStatistics(PageBytes, most, free, free, mostInodes, mostInodes > usedInodes ? mostInodes - usedInodes : 0, 255);
        }
    }

    /// <summary>Other limits. EINVAL for unknown options and for limits below what is in use.</summary>
    public override Errno Remount(string options)
    {
        TmpFsOptions parsed = TmpFsOptions.Default with { Pages = _mostPages, Inodes = _mostInodes };
        Errno error = parsed.Parse(options);
        if (error != Errno.None) return error;
        if ((parsed.Pages != 0 && parsed.Pages < Interlocked.Read(ref _usedPages)) || (parsed.Inodes != 0 && parsed.Inodes < Interlocked.Read(ref _usedInodes))) return Errno.EINVAL;
        Volatile.Write(ref _mostPages, parsed.Pages);
        Volatile.Write(ref _mostInodes, parsed.Inodes);
        return Errno.None;
    }

    /// <summary>A regular file without a name: for memfd_create(2) and O_TMPFILE. ENOSPC.</summary>
    public Result<TmpRegular> CreateUnnamed(int permissions, uint uid, uint gid)
    {
        if (!TryChargeInode()) return Errno.ENOSPC;
        var inode = new TmpRegular(this, NextNumber(), permissions, uid, gid);
        inode.ChangeLinks(-1);
        return inode;
    }

    protected override void OnUnmounted() => _root.EvictAll();

    internal ulong NextNumber() => (ulong)Interlocked.Increment(ref _lastNumber);

    // ---- limits; 0 for none

    bool IPageQuota.TryCharge()
    {
        long most = Volatile.Read(ref _mostPages);
        if (Interlocked.Increment(ref _usedPages) <= most || most == 0) return true;
        Interlocked.Decrement(ref _usedPages);
        return false;
    }

    void IPageQuota.Uncharge(long pages) => Interlocked.Add(ref _usedPages, -pages);

    internal bool TryChargeInode()
    {
        long most = Volatile.Read(ref _mostInodes);
        if (Interlocked.Increment(ref _usedInodes) <= most || most == 0) return true;
        Interlocked.Decrement(ref _usedInodes);
        return false;
    }

    internal void UnchargeInode() => Interlocked.Decrement(ref _usedInodes);
}

/// <summary>Mount options of tmpfs.</summary>
internal record struct TmpFsOptions(long Pages, long Inodes, int Permissions, uint Uid, uint Gid)
{
    private static readonly long s_memoryPages = CountMemory();

    /// <summary>Linux' defaults: half of the memory, and half as many inodes as it has pages.</summary>
    public static TmpFsOptions Default => new(s_memoryPages / 2, s_memoryPages / 2, 0x3FF, 0, 0);

    /// <summary>Takes options over. EINVAL.</summary>
    public Errno Parse(string options)
    {
        foreach (string option in options.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = option.IndexOf('=');
            string name = equals < 0 ? option : option[..equals], value = equals < 0 ? "" : option[(equals + 1)..];
            ulong number;
            switch (name)
            {
                case "size" when TryParseSize(value, out number): Pages = (long)Math.Min((number + 4095) >> 12, long.MaxValue >> 12); break;
                case "nr_blocks" when TryParseSize(value, out number): Pages = (long)Math.Min(number, long.MaxValue >> 12); break;
                case "nr_inodes" when TryParseSize(value, out number): Inodes = (long)Math.Min(number, long.MaxValue); break;
                case "mode" when TryParseOctal(value, out int mode): Permissions = mode & 0xFFF; break;
                case "uid" when uint.TryParse(value, CultureInfo.InvariantCulture, out uint uid): Uid = uid; break;
                case "gid" when uint.TryParse(value, CultureInfo.InvariantCulture, out uint gid): Gid = gid; break;
                case "inode32" or "inode64" or "noswap" when value.Length == 0: break;
                default: return Errno.EINVAL;
            }
        }
        return Errno.None;
    }

    private static bool TryParseOctal(string text, out int value)
    {
        value = 0;
        foreach (char c in text)
        {
            if (c is < '0' or > '7' || value > 0x7FFF) return false;
            value = value * 8 + (c - '0');
        }
        return text.Length > 0;
    }

    private static bool TryParseSize(string text, out ulong value)
    {
        value = 0;
        if (text.Length == 0) return false;
        int shift = text[^1] switch { 'k' or 'K' => 10, 'm' or 'M' => 20, 'g' or 'G' => 30, 't' or 'T' => 40, _ => 0 };
        bool isPercent = text[^1] == '%';
        string digits = shift != 0 || isPercent ? text[..^1] : text;
        if (!ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out value) || value > ulong.MaxValue >> shift) return false;
        value = isPercent ? (ulong)s_memoryPages * 4096 / 100 * Math.Min(value, 100) : value << shift;
        return true;
    }

    private static long CountMemory()
    {
        ulong bytes = 0;
        foreach (MemoryRegion region in BootInfo.Current.MemoryMap)
        {
            if (region.Kind == MemoryRegionKind.Usable) bytes += region.Length;
        }
        return Math.Max((long)(bytes >> 12), 2);
    }
}
