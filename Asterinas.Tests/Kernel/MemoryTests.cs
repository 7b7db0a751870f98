using System;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Collections;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Io;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.User;
using Reg = Asterinas.Ostd.User.Register;

namespace Asterinas.Tests.Kernel;

/// <summary>Frames, address spaces and slabs where a CPU walks the tables. The host tests go through the corner cases.</summary>
internal static class MemoryTests
{
    public static void Register()
    {
        Program.Add("Frames_are_zeroed_and_return_to_the_allocator", Frames);
        Program.Add("Frames_that_are_forgotten_come_back_by_finalizers", ForgottenFrames);
        Program.Add("Frame_exhaustion_is_an_answer_and_everything_comes_back", Exhaustion);
        Program.Add("Frame_handles_that_are_disposed_answer_with_an_exception", DisposedHandles);
        Program.Add("Address_spaces_map_protect_and_unmap_4_KiB_pages", SmallPages);
        Program.Add("Address_spaces_map_2_MiB_pages_and_split_them", LargePages);
        Program.Add("Address_spaces_by_the_hundred_leave_nothing_behind", ManySpaces);
        Program.Add("Frame_lists_and_XArray_hold_frames", Collections);
        Program.Add("Slab_slots_refuse_use_after_free", Slabs);
        Program.Add("Io_ports_and_memory_that_are_sensitive_are_refused", SensitiveIo);
    }

    private static void Frames()
    {
        var frames = new Frame[500];
        byte[] page = new byte[PageSize.Small];
        byte[] dirt = new byte[PageSize.Small];
        Array.Fill(dirt, (byte)0xA5);
        long before = FrameAllocator.ReserveFreePages;
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < frames.Length; i++)
            {
                frames[i] = Frame.Allocate();
                Expect.Equal(PageSize.Small, frames[i].Reader().Read(page), "bytes read");
                Expect.True(page.AsSpan().IndexOfAnyExcept((byte)0) < 0, "a new frame is zero");
                frames[i].Writer().Write(dirt);
            }
            foreach (Frame frame in frames) frame.Dispose();
        }
        // The collector may commit memory meanwhile, but not 500 pages of it.
        Expect.True(before - FrameAllocator.ReserveFreePages < 400, "frames came back");
        using Segment segment = Segment.Allocate(300, 512);
        Expect.Equal(0UL, segment.Start.Value % PageSize.Large, "alignment");
        Expect.Equal(300, segment.PageCount, "pages");
    }

    private static void ForgottenFrames()
    {
        long before = FrameAllocator.ForgottenHandles;
        Forget();
        for (int i = 0; i < 20 && FrameAllocator.ForgottenHandles < before + 100; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Expect.True(FrameAllocator.ForgottenHandles >= before + 100, $"{FrameAllocator.ForgottenHandles - before} of 100 forgotten handles were found");

        static void Forget()
        {
            for (int i = 0; i < 101; i++) Frame.Allocate();
        }
    }

    private static void Exhaustion()
    {
        using var list = new FrameList();
        Segment? large;
        int count = 0;
        // Pieces of 4 MiB first, so that no million handles are needed; a few single frames show the last step.
        var pieces = new System.Collections.Generic.List<Segment>(4096);
        while (FrameAllocator.ReserveFreePages > 8192 && (large = Segment.TryAllocate(1024, 1, FrameContents.Arbitrary)) is not null) pieces.Add(large);
        while (FrameAllocator.ReserveFreePages > FrameAllocator.ReserveFloorPages && Frame.TryAllocate(FrameContents.Arbitrary) is { } frame)
        {
            list.PushBack(frame);
            frame.Dispose();
            count++;
        }
        Expect.True(count > 100 && pieces.Count > 10, $"{count} frames, {pieces.Count} pieces");
        Expect.True(Segment.TryAllocate(1 << 20) is null, "an absurd size is refused");
        Expect.Throws<OutOfMemoryException>(() => Segment.Allocate(1 << 27));
        list.Clear();
        foreach (Segment piece in pieces) piece.Dispose();
        Expect.True(FrameAllocator.ReserveFreePages > 8192, "everything came back");
    }

    private static void DisposedHandles()
    {
        Frame frame = Frame.Allocate();
        frame.Dispose();
        frame.Dispose();
        Expect.Throws<ObjectDisposedException>(() => frame.Reader());
        Expect.Throws<ObjectDisposedException>(() => frame.Share());
        Expect.Throws<ObjectDisposedException>(() => GC.KeepAlive(frame.Start));
        using var program = new UserProgram([0x90]);
        Expect.Throws<ObjectDisposedException>(() =>
            program.Space.Cursor(new VirtualRange(new UserAddress(0x10000000), PageSize.Small)).Map(frame, new PageProperty(PageAccess.Read)));
        Expect.Throws<ArgumentOutOfRangeException>(() => program.Space.Cursor(new VirtualRange(new UserAddress(0), PageSize.Small)));
        Expect.Throws<ArgumentOutOfRangeException>(() => program.Space.Cursor(new VirtualRange(UserAddress.End, PageSize.Small)));
        Expect.Throws<ArgumentOutOfRangeException>(() => program.Space.Cursor(new VirtualRange(new UserAddress(0x10000), ulong.MaxValue & ~4095UL)));
    }

    // mov rax, [rsi]; syscall; mov [rsi], rax; syscall
    private static readonly byte[] s_loadStore = [0x48, 0x8B, 0x06, 0x0F, 0x05, 0x48, 0x89, 0x06, 0x0F, 0x05];

    private static ReturnReason Load(UserProgram program, ulong address) => RunAt(program, address, 0);

    private static ReturnReason Store(UserProgram program, ulong address, ulong value)
    {
        program.Context[Reg.Rax] = value;
        return RunAt(program, address, 5);
    }

    private static ReturnReason RunAt(UserProgram program, ulong address, ulong offset)
    {
        program.Context.InstructionPointer = UserProgram.Code + offset;
        program.Context[Reg.Rsi] = address;
        return program.Run();
    }

    private static void ExpectFault(UserProgram program, ulong address, bool write)
    {
        ReturnReason reason = write ? Store(program, address, 1) : Load(program, address);
        Expect.Equal(ReturnReason.UserException, reason, $"access to {address:x}");
        Expect.Equal(UserException.PageFault, program.Context.Exception.Vector, "vector");
        Expect.Equal(address, program.Context.Exception.FaultAddress, "fault address");
    }

    private static void SmallPages()
    {
        const ulong At = 0x10000000;
        using var program = new UserProgram(s_loadStore);
        using Frame frame = Frame.Allocate();
        VmSpace space = program.Space;
        var range = new VirtualRange(new UserAddress(At), PageSize.Small);
        ExpectFault(program, At, false);
        Expect.Equal(MapStatus.Mapped, space.Cursor(range).Map(frame, new PageProperty(PageAccess.ReadWrite)), "map");
        Expect.Equal(MapStatus.AlreadyMapped, space.Cursor(range).Map(frame, new PageProperty(PageAccess.Read)), "map again");
        Expect.Equal(ReturnReason.UserSyscall, Store(program, At + 8, 0x1234), "store");
        VmReader reader = frame.Reader(8, 8);
        Expect.True(reader.TryRead(out ulong value) && value == 0x1234, "the program's store is in the frame");
        Expect.True(space.Cursor(range).Query() is { IsDirty: true, IsAccessed: true, Bytes: PageSize.Small }, "the CPU marked the page");
        Expect.Equal(2, frame.ReferenceCount, "handle and mapping");

        Expect.Equal(MapStatus.Mapped, space.Cursor(range).Protect(PageSize.Small, new PageProperty(PageAccess.Read)), "protect");
        ExpectFault(program, At, true);
        Expect.Equal(ReturnReason.UserSyscall, Load(program, At + 8), "load");
        Expect.Equal(0x1234UL, program.Context[Reg.Rax], "loaded");

        Expect.Equal(MapStatus.Mapped, space.Cursor(range).Unmap(PageSize.Small, out long pages), "unmap");
        Expect.Equal(1L, pages, "pages");
        ExpectFault(program, At, false);
        Expect.Equal(1, frame.ReferenceCount, "the handle alone");
    }

    private static void LargePages()
    {
        const ulong At = 0x40000000;
        using var program = new UserProgram(s_loadStore);
        VmSpace space = program.Space;
        using Segment segment = Segment.Allocate(PageSize.PagesInLarge, PageSize.PagesInLarge);
        var range = new VirtualRange(new UserAddress(At), PageSize.Large);
        Expect.Equal(MapStatus.Mapped, space.Cursor(range).MapLarge(segment, 0, new PageProperty(PageAccess.ReadWrite)), "map 2 MiB");
        Expect.Equal(PageSize.Large, space.Cursor(range).Query()!.Value.Bytes, "size of the mapping");
        for (ulong offset = 0; offset < PageSize.Large; offset += 256 * 1024) Expect.Equal(ReturnReason.UserSyscall, Store(program, At + offset, offset + 1), "store");
        // Taking one page out of the middle splits the rest into small ones, which keep their contents.
        VmCursor cursor = space.Cursor(range);
        cursor.Seek(new UserAddress(At + (256 << 10)));
        Expect.Equal(MapStatus.Mapped, cursor.Unmap(PageSize.Small, out long pages), "unmap one page");
        Expect.Equal(1L, pages, "pages");
        ExpectFault(program, At + (256 << 10), true);
        for (ulong offset = 512 << 10; offset < PageSize.Large; offset += 256 * 1024)
        {
            Expect.Equal(ReturnReason.UserSyscall, Load(program, At + offset), "load");
            Expect.Equal(offset + 1, program.Context[Reg.Rax], "what was stored");
        }
        Expect.Equal(PageSize.Small, space.Cursor(range).Query()!.Value.Bytes, "size after the split");
    }

    private static void ManySpaces()
    {
        long Round()
        {
            for (int i = 0; i < 100; i++)
            {
                using var program = new UserProgram([0x0F, 0x05]);
                program.RunToSyscall();
            }
            VmSpace.Deactivate();
            GC.Collect();
            GC.WaitForPendingFinalizers();
            return FrameAllocator.ReserveFreePages + RuntimeStatistics.CommittedBytes / PageSize.Small;
        }
        Round();
        long before = Round();
        long after = Round();
        Expect.True(before - after < 50, $"{before - after} pages lost by 100 address spaces");
    }

    private static void Collections()
    {
        using var list = new FrameList();
        var array = new XArray<Frame>();
        for (ulong i = 0; i < 200; i++)
        {
            Frame frame = Frame.Allocate();
            VmWriter writer = frame.Writer(0, 8);
            writer.TryWrite(i * 3);
            array.Store(i * 1000003, frame);
            list.PushBack(frame);
            Expect.Throws<InvalidOperationException>(() => list.PushBack(frame));
        }
        GC.Collect();
        ulong expected = 0;
        foreach ((ulong index, Frame frame) in array.Between(0, ulong.MaxValue))
        {
            Expect.Equal(expected * 1000003, index, "index");
            using Frame popped = list.PopFront()!;
            Expect.Equal(frame.Start, popped.Start, "the list's order");
            VmReader reader = popped.Reader(0, 8);
            Expect.True(reader.TryRead(out ulong value) && value == expected * 3, "contents");
            expected++;
        }
        Expect.Equal(200UL, expected, "frames");
        for (ulong i = 0; i < 200; i++) array.Erase(i * 1000003)!.Dispose();
    }

    private static void Slabs()
    {
        HeapSlot slot = SlabHeap.TryAllocate(100) ?? throw new OutOfMemoryException();
        slot.Write(0, "hello"u8);
        Expect.True(slot.IsValid && slot.Size >= 100, "a valid slot");
        Expect.Throws<ArgumentOutOfRangeException>(() => slot.Write(slot.Size - 2, "hello"u8));
        Expect.True(SlabHeap.Free(slot), "free");
        Expect.True(!SlabHeap.Free(slot), "free twice");
        Expect.True(!slot.IsValid, "a freed slot is not valid");
        Expect.Throws<InvalidOperationException>(() => slot.Read(0, new byte[5]));
        Expect.Throws<InvalidOperationException>(() => default(HeapSlot).Read(0, new byte[5]));
    }

    private static void SensitiveIo()
    {
        foreach ((ushort start, int count) in new (ushort, int)[] { (0x20, 2), (0x00, 16), (0x40, 4), (0x70, 2), (0xCF8, 8), (0x3F8, 1), (0x604, 2), (0, 65536), (0x1F, 2), (0x64, 1), (0x510, 12), (0xB2, 1) })
        {
            Expect.True(IoPort.TryAcquire(start, count) is null, $"port {start:x}");
        }
        Expect.Throws<ArgumentOutOfRangeException>(() => IoPort.TryAcquire(0xFFFF, 2));
        using (IoPort first = IoPort.TryAcquire(0x2E8, 8) ?? throw new TestFailure("COM4's ports are free"))
        {
            Expect.True(IoPort.TryAcquire(0x2EF, 1) is null, "a port that is taken");
            Expect.Throws<ArgumentOutOfRangeException>(() => first.Read32(5));
            first.Read8(7);
        }
        IoPort.TryAcquire(0x2EF, 1)!.Dispose();
        ulong ram = 0;
        foreach (MemoryRegion region in BootInfo.Current.MemoryMap)
        {
            if (region.Kind == MemoryRegionKind.Usable) ram = region.Start;
        }
        foreach (ulong address in new[] { 0UL, ram, ram + 0x1000, 0xFEC00000, 0xFEE00000, 0xFEE00300, 0xFED00000, 0xFFFFFFF0 - 16, ulong.MaxValue - 10 })
        {
            Expect.True(IoMem.TryAcquire(new PhysicalAddress(address), 16) is null, $"device memory at {address:x}");
        }
        Expect.True(IoMem.TryAcquire(new PhysicalAddress(0xE0000000), 0) is null, "an empty range");
    }
}
