using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Syscalls;

/// <summary>capget(2), capset(2).</summary>
internal static class CapabilitySyscalls
{
    private const uint Version1 = 0x19980330, Version2 = 0x20071026, Version3 = 0x20080522;

    public static void Register()
    {
        SyscallTable.Add(125, "capget", Get);
        SyscallTable.Add(126, "capset", Set);
    }

    // How many 32-bit halves the caller's version has; for an unknown one the preferred version is written back.
    private static Errno ReadVersion(in SyscallArguments a, out int halves)
    {
        halves = 0;
        if (a.Thread.Memory.Read(a.Address(0), out uint version) != Errno.None) return Errno.EFAULT;
        halves = version switch { Version1 => 1, Version2 or Version3 => 2, _ => 0 };
        if (halves != 0) return Errno.None;
        return a.Thread.Memory.Write(a.Address(0), Version3) == Errno.None ? Errno.EINVAL : Errno.EFAULT;
    }

    private static long Get(in SyscallArguments a)
    {
        Errno error = ReadVersion(a, out int halves);
        // A null pointer asks for the version only.
        if (error != Errno.None) return error == Errno.EINVAL && a.A1 == 0 ? 0 : -(long)error;
        if (a.Thread.Memory.Read(new UserAddress(a.A0 + 4), out int pid) != Errno.None) return -(long)Errno.EFAULT;
        if (pid < 0) return -(long)Errno.EINVAL;
        if (ProcessLookup.FindThread(a.Thread, pid) is not { } target) return -(long)Errno.ESRCH;
        if (a.A1 == 0) return 0;
        Credentials credentials = target.Credentials;
        Span<byte> bytes = stackalloc byte[24];
        for (int i = 0; i < halves; i++)
        {
            int shift = i * 32;
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[(i * 12)..], (uint)(credentials.Effective >> shift));
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[(i * 12 + 4)..], (uint)(credentials.Permitted >> shift));
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[(i * 12 + 8)..], (uint)(credentials.Inheritable >> shift));
        }
        return a.Thread.Memory.Write(a.Address(1), bytes[..(halves * 12)]) == Errno.None ? 0 : -(long)Errno.EFAULT;
    }

    private static long Set(in SyscallArguments a)
    {
        Errno error = ReadVersion(a, out int halves);
        if (error != Errno.None) return -(long)error;
        if (a.Thread.Memory.Read(new UserAddress(a.A0 + 4), out int pid) != Errno.None) return -(long)Errno.EFAULT;
        if (pid != 0 && pid != a.Thread.Tid) return -(long)Errno.EPERM;
        Span<byte> bytes = stackalloc byte[24];
        bytes.Clear();
        if (a.Thread.Memory.Read(a.Address(1), bytes[..(halves * 12)]) != Errno.None) return -(long)Errno.EFAULT;
        ulong effective = Both(bytes, 0) & Credentials.AllCapabilities, permitted = Both(bytes, 4) & Credentials.AllCapabilities, inheritable = Both(bytes, 8) & Credentials.AllCapabilities;
        Credentials old = a.Thread.Credentials;
        // man 2 capset: what is new in the inheritable set must be permitted (or CAP_SETPCAP), and in the bounding set.
        if (!old.Has(Capability.Setpcap) && (inheritable & ~(old.Inheritable | old.Permitted)) != 0) return -(long)Errno.EPERM;
        if ((inheritable & ~(old.Inheritable | old.Bounding)) != 0) return -(long)Errno.EPERM;
        if ((permitted & ~old.Permitted) != 0 || (effective & ~permitted) != 0) return -(long)Errno.EPERM;
        a.Thread.ChangeCredentials(old with { Effective = effective, Permitted = permitted, Inheritable = inheritable, Ambient = old.Ambient & permitted & inheritable });
        return 0;
    }

    private static ulong Both(ReadOnlySpan<byte> bytes, int at) =>
        BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]) | (ulong)BinaryPrimitives.ReadUInt32LittleEndian(bytes[(at + 12)..]) << 32;
}
