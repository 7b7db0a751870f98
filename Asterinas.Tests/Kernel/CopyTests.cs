using System;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.User;
using Reg = Asterinas.Ostd.User.Register;

namespace Asterinas.Tests.Kernel;

/// <summary>The assembly that moves bytes: every size and every place of a fault, against plain loops.</summary>
internal static class CopyTests
{
    public static void Register()
    {
        Program.Add("Memory_functions_move_and_fill_every_size", MemoryFunctions);
        Program.Add("User_copies_of_every_size_end_at_the_first_byte_that_faults", CopiesToTheByte);
        Program.Add("User_strings_and_words_are_read_whole_or_not_at_all", StringsAndWords);
        Program.Add("User_pages_that_were_cleaned_become_dirty_again", DirtyAgain);
    }

    private static int[] Sizes()
    {
        var sizes = new int[330];
        for (int i = 0; i < 300; i++) sizes[i] = i;
        for (int i = 0; i < 30; i++) sizes[300 + i] = (i < 10 ? 1019 : i < 20 ? 2043 : 4091) + i % 10;
        return sizes;
    }

    private static void MemoryFunctions()
    {
        byte[] from = new byte[9000], to = new byte[9000], model = new byte[9000];
        new Random(1).NextBytes(from);
        foreach (int size in Sizes())
        {
            for (int shift = 0; shift < 17; shift += size > 300 ? 5 : 1)
            {
                from.CopyTo(to, 0);
                from.CopyTo(model, 0);
                // Apart, then overlapping upwards and downwards.
                from.AsSpan(shift, size).CopyTo(to.AsSpan(4500 - shift));
                for (int i = 0; i < size; i++) model[4500 - shift + i] = from[shift + i];
                Expect.True(to.AsSpan().SequenceEqual(model), $"copy of {size} at {shift}");
                Overlap(to, model, 100, 100 + shift, size);
                Overlap(to, model, 100 + shift, 100, size);
                to.AsSpan(shift, size).Fill((byte)size);
                for (int i = 0; i < size; i++) model[shift + i] = (byte)size;
                Expect.True(to.AsSpan().SequenceEqual(model), $"fill of {size} at {shift}");
                to.AsSpan(200 + shift, size).Clear();
                for (int i = 0; i < size; i++) model[200 + shift + i] = 0;
                Expect.True(to.AsSpan().SequenceEqual(model), $"clear of {size} at {shift}");
            }
        }
        using Frame one = Frame.Allocate(), two = Frame.Allocate(FrameContents.Arbitrary);
        one.Writer().Write(from.AsSpan(0, PageSize.Small));
        one.CopyTo(two);
        two.Reader().Read(to.AsSpan(0, PageSize.Small));
        Expect.True(to.AsSpan(0, PageSize.Small).SequenceEqual(from.AsSpan(0, PageSize.Small)), "a whole frame");
        two.Clear();
        two.Reader().Read(to.AsSpan(0, PageSize.Small));
        Expect.True(to.AsSpan(0, PageSize.Small).IndexOfAnyExcept((byte)0) < 0, "a cleared frame");
    }

    private static void Overlap(byte[] to, byte[] model, int source, int target, int size)
    {
        byte[] copy = (byte[])model.Clone();
        for (int i = 0; i < size; i++) model[target + i] = copy[source + i];
        to.AsSpan(source, size).CopyTo(to.AsSpan(target));
        Expect.True(to.AsSpan().SequenceEqual(model), $"move of {size} from {source} to {target}");
    }

    private static void CopiesToTheByte()
    {
        // One page, then nothing: a range that begins so many bytes before the end.
        using var program = new UserProgram([0x0F, 0x05]);
        program.RunToSyscall();
        VmSpace space = program.Space;
        const ulong End = UserProgram.Data + PageSize.Small;
        byte[] data = new byte[PageSize.Small], back = new byte[PageSize.Small], buffer = new byte[4200];
        new Random(2).NextBytes(data);
        for (int before = 0; before <= 4096; before += before < 150 ? 1 : 131)
        {
            foreach (int size in (ReadOnlySpan<int>)[1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 128, 200, 1000, 1023, 1024, 1030, 4000, 4096, 4200])
            {
                var start = new UserAddress(End - (ulong)before);
                int possible = Math.Min(size, before);
                Expect.Equal(PageSize.Small, space.Writer(new UserAddress(UserProgram.Data), PageSize.Small).Write(data), "reset");
                Array.Fill(buffer, (byte)0xEE);
                Expect.Equal(possible, space.Reader(start, size).Read(buffer), $"read of {size}, {before} before the end");
                Expect.True(buffer.AsSpan(0, possible).SequenceEqual(data.AsSpan(PageSize.Small - before, possible)), $"bytes of a read of {size} at {before}");
                Expect.True(buffer.AsSpan(possible).IndexOfAnyExcept((byte)0xEE) < 0, $"behind a read of {size} at {before}");

                Array.Fill(buffer, (byte)0x11);
                Expect.Equal(possible, space.Writer(start, size).Write(buffer.AsSpan(0, size)), $"write of {size}, {before} before the end");
                ExpectPage(0x11, possible, before, $"a write of {size}");
                space.Writer(new UserAddress(UserProgram.Data), PageSize.Small).Write(data);
                Expect.Equal((long)possible, space.Writer(start, size).Fill(size), $"clearing of {size}, {before} before the end");
                ExpectPage(0, possible, before, $"clearing {size}");
            }
        }

        void ExpectPage(byte value, int count, int before, string what)
        {
            space.Reader(new UserAddress(UserProgram.Data), PageSize.Small).Read(back);
            int at = PageSize.Small - before;
            Expect.True(back.AsSpan(0, at).SequenceEqual(data.AsSpan(0, at)), $"before {what} at {before}");
            Expect.True(back.AsSpan(at, count).IndexOfAnyExcept(value) < 0, $"bytes of {what} at {before}");
            Expect.True(back.AsSpan(at + count).SequenceEqual(data.AsSpan(at + count)), $"behind {what} at {before}");
        }
    }

    private static void StringsAndWords()
    {
        using var program = new UserProgram([0x0F, 0x05]);
        program.Map(UserProgram.Data + PageSize.Small, PageAccess.Read, default);
        VmSpace space = program.Space;
        for (int pass = 0; pass < 2; pass++)
        {
            if (pass == 1) program.RunToSyscall();
            Strings(space);
            Words(space);
        }
    }

    private static void Strings(VmSpace space)
    {
        byte[] page = new byte[PageSize.Small];
        const ulong Second = UserProgram.Data + PageSize.Small, End = Second + PageSize.Small;
        Array.Fill(page, (byte)'x');
        space.Writer(new UserAddress(UserProgram.Data), PageSize.Small).Write(page);
        byte[] buffer = new byte[300];
        for (int length = 0; length < 80; length++)
        {
            for (int before = length + 1; before < length + 20; before++)
            {
                // The end lies before the second page, which is all zeroes.
                ulong start = Second - (ulong)before;
                page[PageSize.Small - before + length] = 0;
                space.Writer(new UserAddress(UserProgram.Data), PageSize.Small).Write(page);
                page[PageSize.Small - before + length] = (byte)'x';
                Array.Fill(buffer, (byte)0xEE);
                Expect.Equal(UserStringStatus.Complete, space.ReadCString(new UserAddress(start), buffer, out int found), "status");
                Expect.Equal(length, found, "length");
                Expect.True(buffer.AsSpan(0, length).IndexOfAnyExcept((byte)'x') < 0 && buffer[length] == 0, "bytes");
                UserStringStatus cut = space.ReadCString(new UserAddress(start), buffer.AsSpan(0, length), out found);
                Expect.Equal((UserStringStatus.TooLong, length), (cut, found), "without room for the end");
            }
        }
        space.Writer(new UserAddress(UserProgram.Data), PageSize.Small).Write(page);
        UserStringStatus across = space.ReadCString(new UserAddress(Second - 100), buffer, out int read);
        Expect.Equal((UserStringStatus.Complete, 100), (across, read), "the end is the first byte of the next page");
        foreach (ulong address in (ReadOnlySpan<ulong>)[0, End, 0x7F8000000000, 0xFFFF800000000000, ulong.MaxValue])
        {
            Expect.Equal((UserStringStatus.Faulted, 0), (space.ReadCString(new UserAddress(address), buffer, out read), read), $"string at {address:x}");
        }
        // A string that runs into nothing: the bytes before it are there.
        using var other = new UserProgram([0x0F, 0x05]);
        other.Space.Writer(new UserAddress(UserProgram.Data), PageSize.Small).Write(page);
        for (int before = 0; before < 40; before++)
        {
            UserStringStatus status = other.Space.ReadCString(new UserAddress(Second - (ulong)before), buffer, out read);
            Expect.Equal((UserStringStatus.Faulted, before), (status, read), $"{before} bytes before the end of memory");
        }
    }

    private static void Words(VmSpace space)
    {
        var word = new UserAddress(UserProgram.Data + 8);
        (UserWordOperation Operation, uint Operand, uint Result)[] steps =
        [
            (UserWordOperation.Set, 0xF0F0, 0xF0F0), (UserWordOperation.Add, 0xFFFFFFFF, 0xF0EF), (UserWordOperation.Or, 0x10, 0xF0FF), (UserWordOperation.And, 0xFF, 0xFF),
            (UserWordOperation.Xor, 0x0F, 0xF0),
        ];
        space.TryWrite(word, 3u);
        uint before = 3;
        foreach ((UserWordOperation operation, uint operand, uint result) in steps)
        {
            Expect.True(space.TryUpdate32(word, operation, operand, out uint old), $"{operation}");
            Expect.Equal(before, old, $"the word before {operation}");
            Expect.True(space.TryLoad32(word, out uint now), "load");
            Expect.Equal(result, now, $"the word after {operation}");
            before = result;
        }
        var readOnly = new UserAddress(UserProgram.Data + PageSize.Small);
        Expect.True(space.TryLoad32(readOnly, out _) && !space.TryUpdate32(readOnly, UserWordOperation.Set, 1, out _), "a word that can be read only");
        foreach (UserWordOperation operation in (ReadOnlySpan<UserWordOperation>)[UserWordOperation.Set, UserWordOperation.Add, UserWordOperation.Or, UserWordOperation.Xor])
        {
            foreach (ulong address in (ReadOnlySpan<ulong>)[0, UserProgram.Data + 2, UserProgram.Data + 3 * PageSize.Small, 0x7F8000000000, 0xFFFF800000000000, ulong.MaxValue & ~3UL])
            {
                Expect.True(!space.TryUpdate32(new UserAddress(address), operation, 1, out _) && !space.TryLoad32(new UserAddress(address), out _), $"{operation} at {address:x}");
            }
        }
        Expect.True(space.TryWrite(new UserAddress(UserProgram.Data + 4093), 0x0102030405060708UL) == false, "a write into the read-only page");
        Expect.True(space.TryWrite(new UserAddress(UserProgram.Data + 1), 0x0102030405060708UL), "an unaligned write");
        Expect.True(space.TryRead(new UserAddress(UserProgram.Data + 3), out ushort part) && part == 0x0506, "an unaligned read");
        Expect.True(space.TryRead(new UserAddress(UserProgram.Data + 8), out sbyte last) && last == 1, "a signed byte");
        Expect.True(!space.TryRead(new UserAddress(UserProgram.Data + 2 * PageSize.Small - 4), out long none) && none == 0, "a read beyond the end");
    }

    private static void DirtyAgain()
    {
        // mov [rsi], rax; syscall
        using var program = new UserProgram([0x48, 0x89, 0x06, 0x0F, 0x05]);
        VmCursor cursor = program.Space.Cursor(new VirtualRange(new UserAddress(UserProgram.Data), PageSize.Small));
        for (int round = 0; round < 3; round++)
        {
            program.Context.InstructionPointer = UserProgram.Code;
            program.Context[Reg.Rsi] = UserProgram.Data + 64;
            Expect.Equal(ReturnReason.UserSyscall, program.Run(), "store");
            Expect.True(cursor.Query() is { IsDirty: true, IsAccessed: true }, $"round {round}: written");
            if (round == 1)
            {
                Expect.Equal(1L, cursor.ClearMarks(PageSize.Small, PageMarks.Dirty), "dirty pages");
                cursor.Seek(new UserAddress(UserProgram.Data));
                continue;
            }
            Expect.Equal(PageMarks.Accessed | PageMarks.Dirty, cursor.TakeMarks(PageMarks.Accessed | PageMarks.Dirty), "marks");
            Expect.Equal(PageMarks.None, cursor.TakeMarks(PageMarks.Dirty), "taken already");
        }
    }
}
