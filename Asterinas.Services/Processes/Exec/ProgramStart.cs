using System;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.User;
using Asterinas.Services.Memory;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes.Exec;

/// <summary>
/// execve(2): a thread begins another program. First the program is found and loaded into an address space of its own: whatever fails here is an error of the call, and nothing has
/// changed. Then comes the point of no return: other threads end, and the thread takes the new memory.
/// </summary>
internal static class ProgramStart
{
    // A script whose interpreter is a script, and so on (man 2 execve).
    private const int MaxScripts = 5;

    private sealed class Plan
    {
        public required OpenFile File;
        public OpenFile? InterpreterFile;
        public required ElfHeader Elf;
        public ElfHeader? Interpreter;
    }

    /// <summary>Executes a program. When this returns None the thread's context is that of the new program. May block.</summary>
    /// <param name="thread">The calling thread.</param>
    /// <param name="start">Where a relative path begins.</param>
    /// <param name="path">The program's path, as the caller gave it.</param>
    /// <param name="name">How scripts and the program itself are told their name.</param>
    /// <param name="noFollow">AT_SYMLINK_NOFOLLOW.</param>
    /// <param name="allowEmpty">AT_EMPTY_PATH: an empty path is the start itself.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="isNameLost">The name goes by a descriptor that will be closed: a script's interpreter could not open it.</param>
    public static Errno Execute(Thread thread, VfsPath start, ReadOnlySpan<byte> path, byte[] name, bool noFollow, bool allowEmpty, ExecArguments arguments, bool isNameLost = false)
    {
        Credentials old = thread.Credentials;
        // RLIMIT_NPROC is looked at again after a change of the user (man 2 execve, EAGAIN).
        if (thread.HasTooManyProcesses && (ulong)UserAccount.Of(old.Uid).Threads > thread.Process.Limits.Soft(Resource.Processes)) return Errno.EAGAIN;
        Result<OpenFile> opened = ProgramFile.Open(thread, start, path, noFollow, allowEmpty);
        if (!opened.IsOk) return opened.Error;
        Result<Plan> planned = FindProgram(thread, opened.Value, name, arguments, isNameLost);
        if (!planned.IsOk) return planned.Error;
        Plan plan = planned.Value;
        try
        {
            ExecRights rights = ExecRights.Compute(thread, old, plan.File);
            var request = new LoadRequest
            {
                File = plan.File, Elf = plan.Elf, InterpreterFile = plan.InterpreterFile, Interpreter = plan.Interpreter, Arguments = arguments, Name = name,
                Credentials = rights.Credentials, IsSecure = rights.IsSecure,
                // A program with more rights than the caller's does not get a stack of the caller's choice.
                StackLimit = rights.IsSecure ? Math.Min(thread.Process.Limits.Soft(Resource.Stack), 8 << 20) : thread.Process.Limits.Soft(Resource.Stack),
                IsRandomized = rights.IsSecure || (thread.Process.Personality & NoRandomize) == 0,
            };
            Result<LoadedProgram> loaded = ProgramLoader.Load(request);
            if (!loaded.IsOk)
            {
                if (loaded.Error == Errno.ENOMEM) return Errno.ENOMEM;
                // Linux is beyond the point of no return when it maps segments: a program that cannot be mapped kills the caller.
                thread.Process.StartExit((int)Signal.SIGSEGV);
                return Errno.ENOEXEC;
            }
            Errno error = thread.Process.BecomeSingleThreaded(thread);
            if (error != Errno.None)
            {
                loaded.Value.Memory.Release();
                return error;
            }
            Commit(thread, loaded.Value, rights, name);
            return Errno.None;
        }
        finally
        {
            ProgramFile.Close(plan.File);
            if (plan.InterpreterFile is { } interpreter) ProgramFile.Close(interpreter);
        }
    }

    private const uint NoRandomize = 0x40000;

    // Follows scripts to a program. Takes the file over.
    private static Result<Plan> FindProgram(Thread thread, OpenFile file, byte[] name, ExecArguments arguments, bool isNameLost)
    {
        Span<byte> buffer = stackalloc byte[ProgramFile.StartBytes];
        byte[] scriptName = name;
        for (int depth = 0; ; depth++)
        {
            buffer.Clear();
            Result<int> read = ProgramFile.ReadStart(file, buffer);
            if (!read.IsOk)
            {
                ProgramFile.Close(file);
                return read.Error;
            }
            ReadOnlySpan<byte> start = buffer[..read.Value];
            if (!start.StartsWith("#!"u8)) return PlanElf(thread, file, start);
            ProgramFile.Close(file);
            if (depth == 0 && isNameLost) return Errno.ENOENT;
            if (depth == MaxScripts) return Errno.ELOOP;
            Errno error = ScriptLine.Parse(start, out ReadOnlySpan<byte> interpreter, out ReadOnlySpan<byte> argument);
            if (error != Errno.None) return error;
            arguments.Prepend(interpreter, argument, scriptName);
            scriptName = interpreter.ToArray();
            Result<OpenFile> next = ProgramFile.Open(thread, thread.FileSystem.Current, scriptName, noFollow: false, allowEmpty: false);
            if (!next.IsOk) return next.Error;
            file = next.Value;
        }
    }

    private static Result<Plan> PlanElf(Thread thread, OpenFile file, ReadOnlySpan<byte> start)
    {
        OpenFile? interpreterFile = null;
        bool isDone = false;
        try
        {
            Result<ElfHeader> elf = ElfHeader.Read(file, start);
            if (!elf.IsOk) return elf.Error;
            ElfHeader? interpreter = null;
            foreach (ElfSegment segment in elf.Value.Segments)
            {
                if (segment.Type != ElfSegment.Interpreter) continue;
                Result<OpenFile> opened = OpenInterpreter(thread, file, segment);
                if (!opened.IsOk) return opened.Error;
                interpreterFile = opened.Value;
                Result<ElfHeader> header = ReadInterpreter(interpreterFile);
                if (!header.IsOk) return header.Error;
                interpreter = header.Value;
                break;
            }
            isDone = true;
            return new Plan { File = file, Elf = elf.Value, InterpreterFile = interpreterFile, Interpreter = interpreter };
        }
        finally
        {
            if (!isDone)
            {
                ProgramFile.Close(file);
                if (interpreterFile is not null) ProgramFile.Close(interpreterFile);
            }
        }
    }

    private static Result<OpenFile> OpenInterpreter(Thread thread, OpenFile file, in ElfSegment segment)
    {
        const int MaxPath = 4096;
        if (segment.FileSize is < 2 or > MaxPath || segment.Offset > long.MaxValue) return Errno.ENOEXEC;
        var name = new byte[(int)segment.FileSize];
        Errno error = ProgramFile.ReadExactly(file, (long)segment.Offset, name);
        if (error != Errno.None) return error;
        if (name[^1] != 0) return Errno.ENOEXEC;
        return ProgramFile.Open(thread, thread.FileSystem.Current, name.AsSpan(0, Array.IndexOf(name, (byte)0)), noFollow: false, allowEmpty: false);
    }

    private static Result<ElfHeader> ReadInterpreter(OpenFile file)
    {
        const int HeaderBytes = 64;
        Span<byte> start = stackalloc byte[HeaderBytes];
        Result<int> read = ProgramFile.ReadStart(file, start);
        if (!read.IsOk) return read.Error;
        if (read.Value < HeaderBytes) return Errno.EIO;
        Result<ElfHeader> header = ElfHeader.Read(file, start);
        return header.IsOk || header.Error == Errno.EIO ? header : Errno.ELIBBAD;
    }

    // The point of no return: nothing here fails.
    private static void Commit(Thread thread, in LoadedProgram program, ExecRights rights, byte[] name)
    {
        Process process = thread.Process;
        AddressSpace old = process.Memory;
        thread.LeaveMemory(old);
        ProcessHooks.OnExec(process);
        UnshareFiles(thread);
        process.Memory = program.Memory;
        program.Memory.Space.Activate();
        old.Release();
        process.CompleteVfork();

        SignalHandlers handlers = process.Handlers;
        using (SpinLock.Guard guard = process.SignalLock.Lock())
        {
            process.Handlers = handlers.CopyForExec();
            handlers.Release();
        }
        thread.AlternateStack = AlternateStack.None;
        thread.RestartBlock = null;
        thread.ApplyExec(rights);
        process.Dumpable = rights.IsSecure || rights.Credentials.EffectiveUid != rights.Credentials.Uid || rights.Credentials.EffectiveGid != rights.Credentials.Gid ? 0 : 1;
        process.HasExecuted = true;
        process.ExitSignal = (int)Signal.SIGCHLD;
        process.Personality &= rights.IsSecure ? ~NoRandomize : uint.MaxValue;
        ReadOnlySpan<byte> last = name.AsSpan(name.AsSpan().LastIndexOf((byte)'/') + 1);
        thread.Name = last[..Math.Min(last.Length, 15)].ToArray();
        thread.Files.CloseOnExec(thread);
        process.EndExecution();
        InitialRegisters(thread, program);
    }

    private static void UnshareFiles(Thread thread)
    {
        if (!thread.Files.IsShared) return;
        FileTable shared = thread.Files;
        thread.Files = shared.Copy();
        shared.Release(thread);
    }

    internal static void InitialRegisters(Thread thread, in LoadedProgram program)
    {
        UserContext context = thread.Context;
        for (Register register = Register.Rax; register <= Register.GsBase; register++) context[register] = 0;
        context.InstructionPointer = program.Entry;
        context.StackPointer = program.StackPointer;
        Span<byte> state = thread.StateBuffer;
        SignalFrame.InitialState(state);
        context.WriteExtendedState(state[..UserContext.ExtendedStateBytes]);
    }
}
