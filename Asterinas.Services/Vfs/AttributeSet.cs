using System;
using System.Collections.Generic;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Vfs;

/// <summary>Extended attributes that an inode keeps in memory (man 7 xattr).</summary>
internal sealed class AttributeSet
{
    /// <summary>Most bytes of a value (XATTR_SIZE_MAX).</summary>
    public const int MostValueBytes = 65536;
    /// <summary>Most bytes of all names (XATTR_LIST_MAX).</summary>
    public const int MostListBytes = 65536;

    private readonly SpinLock _lock = new("attributes");
    // Values are replaced as a whole. Few: searched from front to back.
    private readonly List<(byte[] Name, byte[] Value)> _attributes = [];

    /// <summary>ENODATA when there is none.</summary>
    public Result<byte[]> Get(ReadOnlySpan<byte> name)
    {
        using SpinLock.Guard guard = _lock.Lock();
        int index = IndexOf(name);
        return index < 0 ? Errno.ENODATA : _attributes[index].Value;
    }

    /// <summary>EEXIST, ENODATA, ENOSPC.</summary>
    public Errno Set(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, bool mustCreate, bool mustExist)
    {
        byte[] nameCopy = name.ToArray(), valueCopy = value.ToArray();
        using SpinLock.Guard guard = _lock.Lock();
        int index = IndexOf(name);
        if (index >= 0 && mustCreate) return Errno.EEXIST;
        if (index < 0 && mustExist) return Errno.ENODATA;
        if (index >= 0)
        {
            _attributes[index] = (nameCopy, valueCopy);
            return Errno.None;
        }
        int total = name.Length + 1;
        foreach ((byte[] other, _) in _attributes) total += other.Length + 1;
        if (total > MostListBytes) return Errno.ENOSPC;
        _attributes.Add((nameCopy, valueCopy));
        return Errno.None;
    }

    /// <summary>ENODATA.</summary>
    public Errno Remove(ReadOnlySpan<byte> name)
    {
        using SpinLock.Guard guard = _lock.Lock();
        int index = IndexOf(name);
        if (index < 0) return Errno.ENODATA;
        _attributes.RemoveAt(index);
        return Errno.None;
    }

    /// <summary>All names, each with a zero byte behind.</summary>
    public byte[] List()
    {
        using SpinLock.Guard guard = _lock.Lock();
        int total = 0;
        foreach ((byte[] name, _) in _attributes) total += name.Length + 1;
        var list = new byte[total];
        int at = 0;
        foreach ((byte[] name, _) in _attributes)
        {
            name.CopyTo(list, at);
            at += name.Length + 1;
        }
        return list;
    }

    private int IndexOf(ReadOnlySpan<byte> name)
    {
        for (int i = 0; i < _attributes.Count; i++)
        {
            if (name.SequenceEqual(_attributes[i].Name)) return i;
        }
        return -1;
    }
}
