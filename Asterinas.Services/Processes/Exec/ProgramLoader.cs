using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Smp;
using Asterinas.Services.Memory;
using Asterinas.Services.Devices;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes.Exec;

/// <summary>A program in an address space of its own, ready to run.</summary>
/// <param name="Memory">The address space.</param>
/// <param name="Entry">Where it begins: in the interpreter, if it has one.</param>
/// <param name="StackPointer">Points to argc.</param>
internal readonly record struct LoadedProgram(AddressSpace Memory, ulong Entry, ulong StackPointer);

/// <summary>What a program is loaded with.</summary>
internal sealed record LoadRequest
{
    public required OpenFile File { get; init; }
    public required ElfHeader Elf { get; init; }
    /// <summary>The interpreter and its headers; null for none.</summary>
    public OpenFile? InterpreterFile { get; init; }
    public ElfHeader? Interpreter { get; init; }
    public required ExecArguments Arguments { get; init; }
    /// <summary>AT_EXECFN.</summary>
    public required byte[] Name { get; init; }
    public required Credentials Credentials { get; init; }
    /// <summary>AT_SECURE: more rights than the caller's.</summary>
    public bool IsSecure { get; init; }
    public ulong StackLimit { get; init; }
    /// <summary>Not with personality(ADDR_NO_RANDOMIZE).</summary>
    public bool IsRandomized { get; init; } = true;
}

/// <summary>
/// Loads an ELF program into a new address space (man 2 execve, man 3 getauxval). The caller's own space is not touched: a program that cannot be loaded has changed nothing.
/// <code>
///   top      zeros | name | environment | arguments | platform, random bytes | auxiliary vector | envp | argv | argc    ◄ stack pointer
///            stack grows down
///   MapBase  what mmap gives, downwards
///            program (position-independent ones with an interpreter: at two thirds), heap behind it
/// </code>
/// </summary>
internal static class ProgramLoader
{
    private const ulong PageMask = PageSize.Small - 1;
    private const ulong InitialStackBytes = 128 << 10;
    private const ulong MinStackGap = 128 << 20;
    // Random pages: of the stack's place, of mmap's and the program's, of the heap's.
    private const ulong StackPages = 0x3FFFFF, MapPages = 0xFFFFFFF, HeapPages = 0x1FFF;
    private static readonly ulong s_programBase = AddressSpace.EndAddress / 3 * 2 & ~PageMask;

    private enum Auxiliary
    {
        Null = 0, ProgramHeaders = 3, HeaderSize = 4, HeaderCount = 5, PageSize = 6, Base = 7, Flags = 8, Entry = 9, Uid = 11, EffectiveUid = 12, Gid = 13, EffectiveGid = 14,
        Platform = 15, HardwareCapabilities = 16, ClockTicks = 17, Secure = 23, Random = 25, HardwareCapabilities2 = 26, ProgramName = 31, VdsoHeader = 33, MinSignalStack = 51,
    }

    /// <summary>Loads a program. ENOMEM, or the error of what cannot be mapped. May block.</summary>
    public static Result<LoadedProgram> Load(LoadRequest request)
    {
        Result<AddressSpace> made = AddressSpace.Create();
        if (!made.IsOk) return made.Error;
        AddressSpace memory = made.Value;
        bool isDone = false;
        try
        {
            Result<LoadedProgram> loaded = Load(request, memory);
            isDone = loaded.IsOk;
            return loaded;
        }
        finally
        {
            if (!isDone) memory.Release();
        }
    }

    private static Result<LoadedProgram> Load(LoadRequest request, AddressSpace memory)
    {
        ulong top = AddressSpace.EndAddress - PageSize.Small - (RandomPages(request, StackPages) << 12);
        ulong gap = Math.Clamp(request.StackLimit, MinStackGap, AddressSpace.EndAddress / 6 * 5) + AddressSpace.StackGuardGap & ~PageMask;
        memory.StackLimit = request.StackLimit;
        memory.MapBase = AddressSpace.EndAddress - gap - (StackPages << 12) - (RandomPages(request, MapPages) << 12);

        ulong wish = request.Elf.IsDynamic && request.Interpreter is not null ? s_programBase + (RandomPages(request, MapPages) << 12) : 0;
        Result<ElfMapper.Placement> mapped = ElfMapper.Map(memory, request.File, request.Elf, wish);
        if (!mapped.IsOk) return mapped.Error;
        ElfMapper.Placement program = mapped.Value;
        ulong entry = unchecked(request.Elf.Entry + program.Bias), interpreterBase = 0, start = entry;
        if (request.Interpreter is { } interpreter)
        {
            Result<ElfMapper.Placement> second = ElfMapper.Map(memory, request.InterpreterFile!, interpreter, 0);
            if (!second.IsOk) return second.Error;
            interpreterBase = second.Value.Bias;
            start = unchecked(interpreter.Entry + interpreterBase);
        }
        // A static program that may lie anywhere lies among the mappings: its heap has no room there.
        ulong heap = request.Elf.IsDynamic && request.Interpreter is null ? s_programBase : program.End;
        memory.HeapStart = memory.HeapEnd = ((heap + PageMask) & ~PageMask) + (RandomPages(request, HeapPages) << 12);
        memory.CodeStart = program.CodeStart;
        memory.CodeEnd = program.CodeEnd;
        memory.DataStart = program.DataStart;
        memory.DataEnd = program.DataEnd;
        memory.SetExecutable(request.File);
        Errno vdso = ProgramHooks.MapVdso(memory);
        if (vdso != Errno.None) return vdso;
        Result<ulong> stack = MakeStack(request, memory, top, program, entry, interpreterBase);
        return stack.IsOk ? new LoadedProgram(memory, start, stack.Value) : stack.Error;
    }

    private static Result<ulong> MakeStack(LoadRequest request, AddressSpace memory, ulong top, in ElfMapper.Placement program, ulong entry, ulong interpreterBase)
    {
        StringBlock arguments = request.Arguments.Arguments, environment = request.Arguments.Environment;
        int strings = arguments.Length + environment.Length + request.Name.Length + 1 + 8;
        int pointers = (1 + arguments.Count + 1 + environment.Count + 1) * 8;
        const int AuxiliaryBytes = 22 * 16, Extra = 16 + 16 + 16;
        // Everything is put together here and copied at once.
        ulong jitter = request.IsRandomized ? NextRandom() & 0x1FF0 : 0;
        var image = new byte[strings + pointers + AuxiliaryBytes + Extra];
        ulong nameAt = top - 8 - (ulong)request.Name.Length - 1;
        ulong environmentAt = nameAt - (ulong)environment.Length;
        ulong argumentsAt = environmentAt - (ulong)arguments.Length;
        ulong platformAt = (argumentsAt & ~15UL) - 16 - jitter;
        ulong randomAt = platformAt - 16;
        ulong pointer = randomAt - (ulong)(pointers + AuxiliaryBytes) & ~15UL;
        ulong length = top - pointer;
        if (length > (ulong)image.Length) Array.Resize(ref image, (int)length);

        Protection protection = Protection.Read | Protection.Write;
        foreach (ElfSegment segment in request.Elf.Segments)
        {
            if (segment.Type == ElfSegment.GnuStack && (segment.Flags & 1) != 0) protection |= Protection.Execute;
        }
        ulong size = (length + InitialStackBytes + PageMask) & ~PageMask;
        Result<ulong> stack = memory.Map(new MapRequest
        {
            Address = (top - size) & ~PageMask, Length = ((top + PageMask) & ~PageMask) - ((top - size) & ~PageMask), Protection = protection,
            MaxProtection = Protection.Read | Protection.Write | Protection.Execute, Flags = MapFlags.Private | MapFlags.Anonymous | MapFlags.Fixed | MapFlags.GrowsDown, Name = "[stack]",
        });
        if (!stack.IsOk) return stack.Error;

        Span<byte> bytes = image.AsSpan(0, (int)length);
        request.Name.CopyTo(bytes[(int)(nameAt - pointer)..]);
        environment.Bytes.CopyTo(bytes[(int)(environmentAt - pointer)..]);
        arguments.Bytes.CopyTo(bytes[(int)(argumentsAt - pointer)..]);
        "x86_64"u8.CopyTo(bytes[(int)(platformAt - pointer)..]);
        RandomGenerator.Fill(bytes.Slice((int)(randomAt - pointer), 16));
        int at = 0;
        Put(bytes, ref at, (ulong)arguments.Count);
        PutPointers(bytes, ref at, arguments, argumentsAt);
        PutPointers(bytes, ref at, environment, environmentAt);
        int vector = at;
        PutAuxiliary(bytes, ref at, request, program, entry, interpreterBase, memory.VdsoStart, nameAt, platformAt, randomAt);
        memory.AuxiliaryVector = bytes[vector..at].ToArray();
        memory.StackStart = pointer;
        memory.ArgumentsStart = argumentsAt;
        memory.ArgumentsEnd = memory.EnvironmentStart = environmentAt;
        memory.EnvironmentEnd = nameAt;
        return memory.Write(new UserAddress(pointer), bytes) == Errno.None ? pointer : Errno.EFAULT;
    }

    private static void PutAuxiliary(Span<byte> bytes, ref int at, LoadRequest request, in ElfMapper.Placement program, ulong entry, ulong interpreterBase, ulong vdso, ulong name,
        ulong platform, ulong random)
    {
        Credentials credentials = request.Credentials;
        if (vdso != 0) Put(bytes, ref at, Auxiliary.VdsoHeader, vdso);
        Put(bytes, ref at, Auxiliary.MinSignalStack, (ulong)SignalFrame.MinimumStackBytes);
        Put(bytes, ref at, Auxiliary.HardwareCapabilities, CpuIdentity.Cpuid(1).Edx);
        Put(bytes, ref at, Auxiliary.PageSize, PageSize.Small);
        Put(bytes, ref at, Auxiliary.ClockTicks, 100);
        Put(bytes, ref at, Auxiliary.ProgramHeaders, program.Headers);
        Put(bytes, ref at, Auxiliary.HeaderSize, ElfSegment.Bytes);
        Put(bytes, ref at, Auxiliary.HeaderCount, (ulong)request.Elf.Segments.Length);
        Put(bytes, ref at, Auxiliary.Base, interpreterBase);
        Put(bytes, ref at, Auxiliary.Flags, 0);
        Put(bytes, ref at, Auxiliary.Entry, entry);
        UserNamespace space = credentials.UserNamespace;
        Put(bytes, ref at, Auxiliary.Uid, space.UidToUser(credentials.Uid));
        Put(bytes, ref at, Auxiliary.EffectiveUid, space.UidToUser(credentials.EffectiveUid));
        Put(bytes, ref at, Auxiliary.Gid, space.GidToUser(credentials.Gid));
        Put(bytes, ref at, Auxiliary.EffectiveGid, space.GidToUser(credentials.EffectiveGid));
        Put(bytes, ref at, Auxiliary.Secure, request.IsSecure ? 1u : 0u);
        Put(bytes, ref at, Auxiliary.Random, random);
        Put(bytes, ref at, Auxiliary.HardwareCapabilities2, 2);             // FSGSBASE works in user mode
        Put(bytes, ref at, Auxiliary.ProgramName, name);
        Put(bytes, ref at, Auxiliary.Platform, platform);
        Put(bytes, ref at, Auxiliary.Null, 0);
    }

    private static void PutPointers(Span<byte> bytes, ref int at, StringBlock strings, ulong address)
    {
        ReadOnlySpan<byte> rest = strings.Bytes;
        for (int i = 0; i < strings.Count; i++)
        {
            Put(bytes, ref at, address);
            int length = rest.IndexOf((byte)0) + 1;
            address += (ulong)length;
            rest = rest[length..];
        }
        Put(bytes, ref at, 0);
    }

    private static void Put(Span<byte> bytes, ref int at, Auxiliary type, ulong value)
    {
        Put(bytes, ref at, (ulong)type);
        Put(bytes, ref at, value);
    }

    private static void Put(Span<byte> bytes, ref int at, ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[at..], value);
        at += 8;
    }

    private static ulong NextRandom()
    {
        Span<byte> bytes = stackalloc byte[8];
        RandomGenerator.Fill(bytes);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    private static ulong RandomPages(LoadRequest request, ulong mask) => request.IsRandomized ? NextRandom() & mask : 0;
}
