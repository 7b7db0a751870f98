using System;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Tasks;
using Asterinas.Services.Memory;

namespace Asterinas.Services.Processes.Exec;

/// <summary>Strings with a zero byte behind each, one after another.</summary>
internal sealed class StringBlock
{
    private byte[] _bytes = new byte[1024];

    /// <summary>How many strings.</summary>
    public int Count { get; private set; }

    /// <summary>The strings with their zero bytes.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, Length);

    /// <summary>Bytes, zero bytes included.</summary>
    public int Length { get; private set; }

    public void Add(ReadOnlySpan<byte> text)
    {
        Reserve(text.Length + 1);
        text.CopyTo(_bytes.AsSpan(Length));
        _bytes[Length + text.Length] = 0;
        Length += text.Length + 1;
        Count++;
    }

    /// <summary>All strings of another block.</summary>
    public void Add(StringBlock other, int fromOffset, int count)
    {
        ReadOnlySpan<byte> bytes = other.Bytes[fromOffset..];
        Reserve(bytes.Length);
        bytes.CopyTo(_bytes.AsSpan(Length));
        Length += bytes.Length;
        Count += count;
    }

    /// <summary>A string of user memory. EFAULT; E2BIG when it is longer than <paramref name="most"/> bytes with its zero byte.</summary>
    public Errno Add(AddressSpace memory, UserAddress address, int most)
    {
        for (int room = 256; ; room *= 8)
        {
            room = Math.Min(room, most);
            Reserve(room);
            Result<int> length = memory.ReadString(address, _bytes.AsSpan(Length, room));
            if (length.IsOk)
            {
                Length += length.Value + 1;
                Count++;
                return Errno.None;
            }
            if (length.Error != Errno.ENAMETOOLONG) return length.Error;
            if (room == most) return Errno.E2BIG;
        }
    }

    private void Reserve(int more)
    {
        if (Length + more > _bytes.Length) Array.Resize(ref _bytes, Math.Max(Length + more, _bytes.Length * 2));
    }
}

/// <summary>Argument and environment strings on their way from one program to the next (man 2 execve, limits on size of arguments).</summary>
internal sealed class ExecArguments
{
    /// <summary>MAX_ARG_STRLEN: most bytes of one string, its zero byte included.</summary>
    public const int MaxString = 32 * PageSize.Small;
    private const int MinTotal = 131072;
    private const int MaxTotal = 6 << 20;

    public StringBlock Arguments { get; private set; } = new();
    public StringBlock Environment { get; } = new();

    /// <summary>How many bytes strings and pointers may take: a quarter of the stack limit, within bounds.</summary>
    public static int MostBytes(ulong stackLimit) => (int)Math.Clamp(stackLimit / 4, MinTotal, MaxTotal);

    /// <summary>Reads both vectors from user memory. A null vector is an empty one. EFAULT, E2BIG.</summary>
    public static Result<ExecArguments> Read(AddressSpace memory, UserAddress argv, UserAddress envp, ulong stackLimit)
    {
        var arguments = new ExecArguments();
        int room = MostBytes(stackLimit);
        Errno error = ReadVector(memory, argv, arguments.Arguments, ref room);
        if (error == Errno.None) error = ReadVector(memory, envp, arguments.Environment, ref room);
        if (error != Errno.None) return error;
        // Since Linux 5.18 there is always a name.
        if (arguments.Arguments.Count == 0) arguments.Arguments.Add([]);
        return arguments;
    }

    private static Errno ReadVector(AddressSpace memory, UserAddress vector, StringBlock strings, ref int room)
    {
        if (vector.Value == 0) return Errno.None;
        for (ulong at = vector.Value; ; at += 8)
        {
            if (memory.Read(new UserAddress(at), out ulong pointer) != Errno.None) return Errno.EFAULT;
            if (pointer == 0) return Errno.None;
            int before = strings.Length;
            Errno error = strings.Add(memory, new UserAddress(pointer), MaxString);
            if (error != Errno.None) return error;
            room -= strings.Length - before + 8;
            if (room < 0) return Errno.E2BIG;
            if ((strings.Count & 255) == 0)
            {
                Task.YieldIfNeeded();
                if (Thread.Current is { IsEnding: true }) return Errno.EINTR;
            }
        }
    }

    /// <summary>A script's interpreter takes its place: its name, perhaps one argument, and the script's path instead of the name that the caller gave.</summary>
    public void Prepend(ReadOnlySpan<byte> interpreter, ReadOnlySpan<byte> argument, ReadOnlySpan<byte> script)
    {
        var changed = new StringBlock();
        changed.Add(interpreter);
        if (!argument.IsEmpty) changed.Add(argument);
        changed.Add(script);
        int first = Arguments.Bytes.IndexOf((byte)0) + 1;
        changed.Add(Arguments, first, Arguments.Count - 1);
        Arguments = changed;
    }
}
