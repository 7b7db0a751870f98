using System;
using System.Buffers.Binary;
using System.Text;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Processes.Exec;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>Birth and death: fork(2), clone(2), execve(2), exit(2).</summary>
internal static class ProcessSyscalls
{
    private const int CloneArgsSize0 = 64, CloneArgsSize2 = 88, MaxPidDepth = 32;

    public static void Register()
    {
        SyscallTable.Add(56, "clone", CloneCall, "CLONE_NEWCGROUP, CLONE_NEWTIME; CLONE_PTRACE traces nobody");
        SyscallTable.Add(57, "fork", Fork);
        SyscallTable.Add(58, "vfork", VirtualFork);
        SyscallTable.Add(59, "execve", Execute);
        SyscallTable.Add(60, "exit", Exit);
        SyscallTable.Add(231, "exit_group", ExitGroup);
        SyscallTable.Add(322, "execveat", ExecuteAt);
        SyscallTable.Add(435, "clone3", Clone3, "CLONE_INTO_CGROUP, CLONE_NEWCGROUP, CLONE_NEWTIME");
    }

    private static long Exit(in SyscallArguments a)
    {
        a.Thread.Exit(a.Int(0));
        return 0;
    }

    private static long ExitGroup(in SyscallArguments a)
    {
        a.Thread.ExitGroup(a.Int(0));
        return 0;
    }

    private static long Fork(in SyscallArguments a) => SyscallAnswer.From(Clone.Run(a.Thread, new CloneRequest { ExitSignal = (int)Signal.SIGCHLD }));

    private static long VirtualFork(in SyscallArguments a) =>
        SyscallAnswer.From(Clone.Run(a.Thread, new CloneRequest { Flags = CloneFlags.Vfork | CloneFlags.Memory, ExitSignal = (int)Signal.SIGCHLD }));

    private static long CloneCall(in SyscallArguments a)
    {
        var flags = (CloneFlags)(uint)a.A0;
        // The old call has one place for both ids, and ignores what only clone3 knows.
        if ((flags & CloneFlags.PidFd) != 0 && (flags & CloneFlags.ParentSetTid) != 0) return -(long)Errno.EINVAL;
        if ((flags & (CloneFlags.NewCgroup)) != 0) return -(long)Errno.EINVAL;
        int signal = (int)(flags & CloneFlags.SignalMask);
        return SyscallAnswer.From(Clone.Run(a.Thread, new CloneRequest
        {
            Flags = flags & ~CloneFlags.SignalMask, ExitSignal = (flags & CloneFlags.Thread) != 0 || signal > (int)Signal.Last ? 0 : signal, StackPointer = a.A1, ParentTid = a.A2, PidFd = a.A2,
            ChildTid = a.A3, Tls = a.A4,
        }));
    }

    private static long Clone3(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        ulong size = a.A1;
        if (size > PageSize.Small) return -(long)Errno.E2BIG;
        if (size < CloneArgsSize0) return -(long)Errno.EINVAL;
        Span<byte> bytes = stackalloc byte[CloneArgsSize2];
        bytes.Clear();
        Errno error = StructArgument.Read(thread, a.Address(0), (int)size, bytes);
        if (error != Errno.None) return -(long)error;
        var flags = (CloneFlags)Word(bytes, 0);
        ulong signal = Word(bytes, 4), stack = Word(bytes, 5), stackSize = Word(bytes, 6), numbersAddress = Word(bytes, 8), numbersCount = Word(bytes, 9);
        const CloneFlags Known = (CloneFlags)0x3FFFFFF00;
        if ((flags & ~Known & ~CloneFlags.NewTime) != 0 || (flags & (CloneFlags.Detached | CloneFlags.SignalMask & ~CloneFlags.NewTime)) != 0) return -(long)Errno.EINVAL;
        if ((flags & (CloneFlags.IntoCgroup | CloneFlags.NewCgroup | CloneFlags.NewTime)) != 0) return -(long)Errno.EINVAL;
        if (signal > (ulong)Signal.Last || ((flags & (CloneFlags.Thread | CloneFlags.Parent)) != 0 && signal != 0)) return -(long)Errno.EINVAL;
        if ((stack == 0) != (stackSize == 0) || stack > ulong.MaxValue - stackSize || stack + stackSize > UserAddress.End.Value) return -(long)Errno.EINVAL;
        if ((numbersAddress == 0) != (numbersCount == 0) || numbersCount > MaxPidDepth) return -(long)Errno.EINVAL;
        Span<int> numbers = stackalloc int[(int)numbersCount];
        if (numbers.Length > thread.Namespaces.PidForChildren.Level + 1 + ((flags & CloneFlags.NewPid) != 0 ? 1 : 0)) return -(long)Errno.EINVAL;
        for (int i = 0; i < numbers.Length; i++)
        {
            if (thread.Memory.Read(new UserAddress(numbersAddress + (ulong)i * 4), out int number) != Errno.None) return -(long)Errno.EFAULT;
            if (number is < 1 or >= PidNamespace.DefaultMaximum) return -(long)Errno.EINVAL;
            numbers[i] = number;
        }
        if (numbers.Length != 0 && !thread.Credentials.Has(Capability.SysAdmin) && !thread.Credentials.Has(Capability.CheckpointRestore)) return -(long)Errno.EPERM;
        return SyscallAnswer.From(Clone.Run(thread, new CloneRequest
        {
            Flags = flags, ExitSignal = (int)signal, StackPointer = stack == 0 ? 0 : stack + stackSize, PidFd = Word(bytes, 1), ChildTid = Word(bytes, 2), ParentTid = Word(bytes, 3),
            Tls = Word(bytes, 7), Numbers = numbers,
        }));
    }

    private static ulong Word(ReadOnlySpan<byte> bytes, int index) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[(index * 8)..]);

    // ---- execve

    private const int CurrentDirectory = -100;
    private const uint SymlinkNoFollow = 0x100, EmptyPath = 0x1000;
    private const int MaxPath = 4096;

    private static long Execute(in SyscallArguments a) => Execute(a.Thread, CurrentDirectory, a.Address(0), a.Address(1), a.Address(2), 0);

    private static long ExecuteAt(in SyscallArguments a)
    {
        uint flags = a.UInt(4);
        if ((flags & ~(SymlinkNoFollow | EmptyPath)) != 0) return -(long)Errno.EINVAL;
        return Execute(a.Thread, a.Int(0), a.Address(1), a.Address(2), a.Address(3), flags);
    }

    private static long Execute(Thread thread, int directory, UserAddress pathAddress, UserAddress argv, UserAddress envp, uint flags)
    {
        Span<byte> buffer = new byte[MaxPath];
        Result<int> length = thread.Memory.ReadString(pathAddress, buffer);
        if (!length.IsOk) return -(long)length.Error;
        ReadOnlySpan<byte> path = buffer[..length.Value];
        if (path.IsEmpty && (flags & EmptyPath) == 0) return -(long)Errno.ENOENT;
        VfsPath start = thread.FileSystem.Current;
        byte[] name = path.ToArray();
        bool isNameLost = false;
        if (directory != CurrentDirectory && (path.IsEmpty || path[0] != '/'))
        {
            Errno error = thread.Files.Get(directory, out FileHandle handle, allowPath: true);
            if (error != Errno.None) return -(long)error;
            using (handle) start = handle.File.Path;
            isNameLost = thread.Files.GetCloseOnExec(directory).Value == 1;
            name = Encoding.ASCII.GetBytes(path.IsEmpty ? $"/dev/fd/{directory}" : $"/dev/fd/{directory}/");
            if (!path.IsEmpty) name = [.. name, .. path];
        }
        Result<ExecArguments> arguments = ExecArguments.Read(thread.Memory, argv, envp, thread.Process.Limits.Soft(Resource.Stack));
        if (!arguments.IsOk) return -(long)arguments.Error;
        Errno outcome = ProgramStart.Execute(thread, start, path, name, (flags & SymlinkNoFollow) != 0, (flags & EmptyPath) != 0, arguments.Value, isNameLost);
        if (outcome != Errno.None) return -(long)outcome;
        // The new program's registers are all zero; the answer of a call that does not return is none.
        thread.SyscallNumber = -1;
        return 0;
    }
}
