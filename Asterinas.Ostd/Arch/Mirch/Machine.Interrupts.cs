using System;
using System.Numerics;
using System.Threading;

namespace Asterinas.Ostd.Arch;

/// <summary>Pending events and interrupt vectors of the simulated CPUs: a test raises one where hardware would interrupt.</summary>
internal static partial class Machine
{
    private const int FirstDeviceVector = 0x30, LastDeviceVector = 0xDF;
    private const ulong MessageWindow = 0xFEE00000;

    public static uint PendingEvents()
    {
        SchedulePoint("pending events");
        return Volatile.Read(ref Self().Cpu.Events);
    }

    /// <summary>As <see cref="PendingEvents"/> for any CPU, for tests: no schedule point.</summary>
    public static bool IsEventPending(int cpu = 0) => Volatile.Read(ref s_cpus.All[cpu].Events) != 0;

    public static int TakeTimerExpired() => Self().Cpu.Take(SimulatedCpu.TimerExpired) ? 1 : 0;

    public static int TakeReschedule() => Self().Cpu.Take(SimulatedCpu.Reschedule) ? 1 : 0;

    public static int TakeReserveLow() => Self().Cpu.Take(SimulatedCpu.ReserveLow) ? 1 : 0;

    public static void NoteReserveLow()
    {
        SimulatedCpu cpu = Self().Cpu;
        lock (cpu.Cpus) cpu.Note(SimulatedCpu.ReserveLow);
    }

    public static int TakePendingVector()
    {
        SimulatedCpu cpu = Self().Cpu;
        lock (cpu.Cpus)
        {
            cpu.Take(SimulatedCpu.InterruptPending);
            for (int word = 0; word < 4; word++)
            {
                ulong bits = cpu.PendingVectors[word];
                if (bits == 0) continue;
                int bit = BitOperations.TrailingZeroCount(bits);
                cpu.PendingVectors[word] &= ~(1UL << bit);
                // There may be more: the event stays until a look finds none.
                cpu.Note(SimulatedCpu.InterruptPending);
                return word * 64 + bit;
            }
        }
        return -1;
    }

    public static ulong InterruptCount() => (ulong)Interlocked.Read(ref Self().Cpu.InterruptCount);

    /// <summary>A device interrupt on a CPU: the top half notes the vector. Any host thread may call it.</summary>
    public static void RaiseInterrupt(int vector, int cpu = 0)
    {
        if (vector is < FirstDeviceVector or > LastDeviceVector) throw new ArgumentOutOfRangeException(nameof(vector));
        SimulatedCpu target = s_cpus.All[cpu];
        lock (target.Cpus)
        {
            target.PendingVectors[vector >> 6] |= 1UL << (vector & 63);
            Interrupt(target, SimulatedCpu.InterruptPending);
        }
    }

    /// <summary>The address at which messages interrupt the current CPU.</summary>
    public static ulong MessageAddress() => MessageWindow | (ulong)Self().Cpu.Number << 12;

    /// <summary>A device's write into the window of message-signalled interrupts.</summary>
    public static void SendMessage(ulong address, uint data)
    {
        if ((address & ~0xFFFFFUL) != MessageWindow) throw new ArgumentOutOfRangeException(nameof(address));
        RaiseInterrupt((int)data, (int)(address >> 12 & 0xFF));
    }

    private static void Interrupt(SimulatedCpu cpu, uint bits)
    {
        lock (cpu.Cpus)
        {
            cpu.InterruptCount++;
            cpu.Note(bits);
        }
    }
}
