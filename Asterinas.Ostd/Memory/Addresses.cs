using System;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Memory;

/// <summary>Sizes that the page tables of x86-64 know (SDM vol. 3 §4.5).</summary>
public static class PageSize
{
    /// <summary>Bytes of a page: 4 KiB.</summary>
    public const int Small = 4096;
    /// <summary>Bytes of a large page: 2 MiB.</summary>
    public const int Large = 2 << 20;
    /// <summary>Pages in a large page.</summary>
    public const int PagesInLarge = Large / Small;
}

/// <summary>An address in physical memory. A number without any right: it names memory, it does not reach it.</summary>
/// <param name="Value">Bytes from the start of physical memory.</param>
public readonly record struct PhysicalAddress(ulong Value) : IComparable<PhysicalAddress>
{
    /// <summary>Whether it is a multiple of 4 KiB.</summary>
    public bool IsPageAligned => (Value & (PageSize.Small - 1)) == 0;

    /// <summary>The address so many bytes further.</summary>
    /// <exception cref="OverflowException">The sum does not fit.</exception>
    public static PhysicalAddress operator +(PhysicalAddress address, ulong bytes) => new(checked(address.Value + bytes));

    /// <inheritdoc/>
    public int CompareTo(PhysicalAddress other) => Value.CompareTo(other.Value);

    /// <inheritdoc/>
    public override string ToString() => $"0x{Value:x}";
}

/// <summary>
/// An address as a user program writes it: any 64-bit number. Whether it lies in user space is asked with <see cref="IsInUserSpace"/>; everything that
/// takes one answers an address outside with a fault, never with kernel memory.
/// </summary>
/// <param name="Value">The virtual address.</param>
public readonly record struct UserAddress(ulong Value) : IComparable<UserAddress>
{
    /// <summary>The first address that can be mapped: the 64 KiB below stay unmapped in every address space.</summary>
    public static readonly UserAddress Lowest = new(0x10000);

    /// <summary>The first address beyond user space.</summary>
    public static readonly UserAddress End = new(Machine.UserEnd);

    /// <summary>Whether it lies in the part that can be mapped.</summary>
    public bool IsInUserSpace => Value >= Lowest.Value && Value < End.Value;

    /// <summary>Whether it is a multiple of 4 KiB.</summary>
    public bool IsPageAligned => (Value & (PageSize.Small - 1)) == 0;

    /// <summary>The address so many bytes further.</summary>
    /// <exception cref="OverflowException">The sum does not fit.</exception>
    public static UserAddress operator +(UserAddress address, ulong bytes) => new(checked(address.Value + bytes));

    /// <inheritdoc/>
    public int CompareTo(UserAddress other) => Value.CompareTo(other.Value);

    /// <inheritdoc/>
    public override string ToString() => $"0x{Value:x}";
}

/// <summary>A range of user addresses.</summary>
/// <param name="Start">The first address.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct VirtualRange(UserAddress Start, ulong Length)
{
    /// <summary>Whether it is not empty, made of whole pages and inside the part of user space that can be mapped.</summary>
    public bool IsMappable => Length != 0 && Start.IsPageAligned && (Length & (PageSize.Small - 1)) == 0 && Start.IsInUserSpace
        && Length <= UserAddress.End.Value - Start.Value;

    /// <summary>The first address beyond.</summary>
    /// <exception cref="OverflowException">The range ends beyond 64 bits.</exception>
    public UserAddress End => Start + Length;

    /// <summary>Whether the address lies inside.</summary>
    /// <param name="address">Any address.</param>
    public bool Contains(UserAddress address) => address.Value >= Start.Value && address.Value - Start.Value < Length;
}
