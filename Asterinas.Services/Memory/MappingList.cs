using System;

namespace Asterinas.Services.Memory;

/// <summary>The mappings of an address space in the order of their addresses. Found by binary search; a process rarely has more than a few hundred.</summary>
internal sealed class MappingList
{
    private Mapping[] _items = new Mapping[16];
    // The one that was found last: faults come in runs.
    private Mapping? _last;

    public int Count { get; private set; }

    public Mapping this[int index] => _items[index];

    /// <summary>Index of the first mapping that ends behind an address: the one that holds it, or the next one above. <see cref="Count"/> for none.</summary>
    public int IndexAtOrAbove(ulong address)
    {
        int low = 0, high = Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (_items[middle].End <= address) low = middle + 1; else high = middle;
        }
        return low;
    }

    /// <summary>The mapping that holds an address; null for none.</summary>
    public Mapping? Find(ulong address)
    {
        Mapping? last = _last;
        if (last is not null && address >= last.Start && address < last.End) return last;
        int index = IndexAtOrAbove(address);
        if (index == Count || _items[index].Start > address) return null;
        return _last = _items[index];
    }

    public void Insert(Mapping mapping)
    {
        if (Count == _items.Length) Array.Resize(ref _items, Count * 2);
        int index = IndexAtOrAbove(mapping.Start);
        Array.Copy(_items, index, _items, index + 1, Count - index);
        _items[index] = mapping;
        Count++;
    }

    /// <summary>Makes room for so many more, so that inserting them cannot fail.</summary>
    public void Reserve(int more)
    {
        if (Count + more > _items.Length) Array.Resize(ref _items, Math.Max(Count + more, Count * 2));
    }

    public void RemoveAt(int index)
    {
        if (ReferenceEquals(_last, _items[index])) _last = null;
        Count--;
        Array.Copy(_items, index + 1, _items, index, Count - index);
        _items[Count] = null!;
    }

    public void Clear()
    {
        Array.Clear(_items, 0, Count);
        Count = 0;
        _last = null;
    }
}
