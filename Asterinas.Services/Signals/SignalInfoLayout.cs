using System;
using System.Buffers.Binary;

namespace Asterinas.Services.Signals;

/// <summary>siginfo_t of x86-64: 128 bytes, of which the kernel uses 48 (man 2 sigaction).</summary>
internal static class SignalInfoLayout
{
    public const int Bytes = 128;
    private const int Used = 48;

    // Where the address, or the band, stands in the place of pid and uid.
    private static bool HasAddress(Signal signal, int code) =>
        code is > 0 and < SignalInfo.Kernel && (signal is Signal.SIGIO or Signal.SIGSYS || (DefaultAction.Synchronous.Contains(signal)));

    /// <summary>Writes it, the unused rest as zeros.</summary>
    public static void Encode(in SignalInfo info, Span<byte> destination)
    {
        destination[..Bytes].Clear();
        BinaryPrimitives.WriteInt32LittleEndian(destination, (int)info.Signal);
        BinaryPrimitives.WriteInt32LittleEndian(destination[4..], info.ErrorNumber);
        BinaryPrimitives.WriteInt32LittleEndian(destination[8..], info.Code);
        if (HasAddress(info.Signal, info.Code))
        {
            BinaryPrimitives.WriteUInt64LittleEndian(destination[16..], info.Value);
            BinaryPrimitives.WriteInt64LittleEndian(destination[24..], info.UserTime);
            return;
        }
        BinaryPrimitives.WriteInt32LittleEndian(destination[16..], info.Pid);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[20..], info.Uid);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[24..], info.Value);
        BinaryPrimitives.WriteInt64LittleEndian(destination[32..], info.UserTime);
        BinaryPrimitives.WriteInt64LittleEndian(destination[40..], info.SystemTime);
    }

    /// <summary>Reads what rt_sigqueueinfo(2) got; the signal is the call's argument, whatever the structure says.</summary>
    public static SignalInfo Decode(Signal signal, ReadOnlySpan<byte> source)
    {
        int code = BinaryPrimitives.ReadInt32LittleEndian(source[8..]);
        var info = new SignalInfo(signal, code) { ErrorNumber = BinaryPrimitives.ReadInt32LittleEndian(source[4..]) };
        if (HasAddress(signal, code))
        {
            return info with { Value = BinaryPrimitives.ReadUInt64LittleEndian(source[16..]), UserTime = BinaryPrimitives.ReadInt64LittleEndian(source[24..]) };
        }
        return info with
        {
            Pid = BinaryPrimitives.ReadInt32LittleEndian(source[16..]),
            Uid = BinaryPrimitives.ReadUInt32LittleEndian(source[20..]),
            Value = BinaryPrimitives.ReadUInt64LittleEndian(source[24..]),
            UserTime = BinaryPrimitives.ReadInt64LittleEndian(source[32..]),
            SystemTime = BinaryPrimitives.ReadInt64LittleEndian(source[40..]),
        };
    }

    /// <summary>Bytes that <see cref="Decode"/> needs.</summary>
    public const int DecodedBytes = Used;
}
