using System;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Diagnostics;

namespace Asterinas.Ostd.Interrupts;

/// <summary>What sends a line's messages (MSI, MSI-X, the IOMMU's faults).</summary>
internal abstract class MessageSource
{
    /// <summary>Stops the messages: when it has returned, none with this line's vector is sent any more. Called once, by whoever takes the source off its line.</summary>
    public abstract void Stop();
}

/// <summary>
/// An interrupt vector that belongs to one driver. The top half is the framework's: it acknowledges and notes the vector. What the driver registers is a bottom half:
/// ordinary code that runs at a safe point (on the way back to user mode, when a task blocks or yields, in the idle loop), never in interrupt context and never at the
/// same time as itself. Interrupts that come before it runs are one call.
/// </summary>
public sealed class IrqLine : IDisposable
{
    private const int FirstVector = 0x30, LastVector = 0xDF;

    private static readonly IrqLine?[] s_lines = new IrqLine?[256];

    // INVARIANT: a pin has one owner, claimed by compare-and-swap: a second driver cannot take the interrupts of the first one away.
    private static readonly IrqLine?[] s_pins = new IrqLine?[256];

    private Action? _bottomHalf;
    private long _count;
    private uint _gsi = uint.MaxValue;
    private MessageSource? _source;
    private int _isDisposed;
    private int _pending;                   // calls that are due: who makes it 1 runs them all

    private IrqLine(int vector) => Vector = vector;

#if ARCH_MIRCH
    /// <summary>A fresh simulated machine: lines that the framework itself had are gone with the old one.</summary>
    internal static void Restart()
    {
        Array.Clear(s_lines);
        Array.Clear(s_pins);
    }
#endif

    /// <summary>Times that the bottom half was due.</summary>
    public long Count => Interlocked.Read(ref _count);

    internal int Vector { get; }

    /// <summary>Takes a free vector; null when all 176 are in use.</summary>
    public static IrqLine? TryAllocate()
    {
        for (int vector = FirstVector; vector <= LastVector; vector++)
        {
            if (Volatile.Read(ref s_lines[vector]) is not null) continue;
            var line = new IrqLine(vector);
            if (Interlocked.CompareExchange(ref s_lines[vector], line, null) is null) return line;
        }
        return null;
    }

    /// <summary>Sets the bottom half; null takes it away.</summary>
    /// <param name="bottomHalf">Called at safe points. It may block as little as possible; an exception in it is logged, and the kernel goes on.</param>
    /// <exception cref="ObjectDisposedException">The line was given back.</exception>
    public void SetBottomHalf(Action? bottomHalf)
    {
        ObjectDisposedException.ThrowIf(_isDisposed != 0, this);
        Volatile.Write(ref _bottomHalf, bottomHalf);
    }

    /// <summary>
    /// Routes an interrupt of the ISA bus here, as the firmware describes it (ACPI MADT). False when the machine has no such pin, the pin has an
    /// owner, or the line has a pin or a message.
    /// </summary>
    /// <param name="isaLine">0 to 15.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such line on the bus.</exception>
    /// <exception cref="ObjectDisposedException">The line was given back.</exception>
    public bool TryRouteIsa(int isaLine)
    {
        ObjectDisposedException.ThrowIf(_isDisposed != 0, this);
        if (isaLine is < 0 or > 15) throw new ArgumentOutOfRangeException(nameof(isaLine));
        ulong description = Machine.IsaInterrupt(isaLine);
        return description != ulong.MaxValue && Route((uint)description, (int)(description >> 32));
    }

    /// <summary>
    /// Routes a global system interrupt here: PCI's INTx lines are level-triggered and active low. False when the machine has no such pin, the pin has an owner, or the
    /// line has a pin.
    /// </summary>
    /// <param name="gsi">Number of the I/O APIC's pin.</param>
    /// <exception cref="ObjectDisposedException">The line was given back.</exception>
    public bool TryRoutePciInterrupt(uint gsi)
    {
        ObjectDisposedException.ThrowIf(_isDisposed != 0, this);
        return Route(gsi, 3);
    }

    /// <summary>Masks the source and gives the vector back.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0) return;
        Interlocked.Exchange(ref _source, null)?.Stop();
        if (_gsi != uint.MaxValue)
        {
            Machine.IoApicRoute(_gsi, 0, 0);
            Volatile.Write(ref s_pins[_gsi], null);
        }
        Volatile.Write(ref _bottomHalf, null);
        Volatile.Write(ref s_lines[Vector], null);
    }

    /// <summary>Routes an ISA line that a PCI pin drives: level-triggered, with the polarity that the firmware describes. Answers as <see cref="TryRouteIsa"/>.</summary>
    internal bool TryRouteIsaLevel(int isaLine)
    {
        const int Level = 2;
        ulong description = _isDisposed != 0 ? ulong.MaxValue : Machine.IsaInterrupt(isaLine);
        return description != ulong.MaxValue && Route((uint)description, (int)(description >> 32) | Level);
    }

    /// <summary>Makes messages of a source this line's. False, and the source stays stopped, when the line has a source or a pin, or was disposed.</summary>
    internal bool TryAttach(MessageSource source)
    {
        if (_gsi != uint.MaxValue || Interlocked.CompareExchange(ref _source, source, null) is not null) return false;
        // One that is disposed meanwhile stops the source itself, unless it is taken off again first: either way it does not send.
        if (Volatile.Read(ref _isDisposed) == 0) return true;
        Interlocked.CompareExchange(ref _source, null, source);
        return false;
    }

    /// <summary>Takes a source off, when it is the line's. The caller has stopped it.</summary>
    internal void Detach(MessageSource source) => Interlocked.CompareExchange(ref _source, null, source);

    /// <summary>Runs the bottom half of a vector: called at safe points.</summary>
    internal static void Dispatch(int vector)
    {
        IrqLine? line = Volatile.Read(ref s_lines[vector]);
        if (line is null)
        {
            Log.Debug($"interrupt on vector {vector}, which nobody owns");
            return;
        }
        Interlocked.Increment(ref line._count);
        // Another CPU may be at it, or this one further out: that call is followed by one more.
        if (Interlocked.Increment(ref line._pending) != 1) return;
        int seen;
        do
        {
            seen = Volatile.Read(ref line._pending);
            try
            {
                Volatile.Read(ref line._bottomHalf)?.Invoke();
            }
            catch (Exception problem)
            {
                Log.Error($"the bottom half of vector {vector} failed: {problem}");
            }
            if (line._gsi != uint.MaxValue) Machine.IoApicUnmask(line._gsi);
        }
        while (Interlocked.Add(ref line._pending, -seen) != 0);
    }

    /// <summary>Runs what is pending. Until the scheduler's safe points call it, a driver may do so while it waits.</summary>
    internal static bool DispatchPending()
    {
        bool any = false;
        for (int vector; (vector = Machine.TakePendingVector()) >= 0; any = true) Dispatch(vector);
        return any;
    }

    private bool Route(uint gsi, int flags)
    {
        if (_gsi != uint.MaxValue || _source is not null || gsi >= (uint)s_pins.Length || Interlocked.CompareExchange(ref s_pins[gsi], this, null) is not null) return false;
        if (Machine.IoApicRoute(gsi, Vector, flags) == 0)
        {
            Volatile.Write(ref s_pins[gsi], null);
            return false;
        }
        _gsi = gsi;
        return true;
    }
}
