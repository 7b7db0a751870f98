using System;
using System.Text;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Devices;

/// <summary>One line of the kernel log.</summary>
/// <param name="Sequence">Counts from 0.</param>
/// <param name="Priority">Facility times 8, plus level.</param>
/// <param name="Microseconds">Since boot.</param>
/// <param name="Text">Without line feed.</param>
internal readonly record struct LogRecord(ulong Sequence, int Priority, ulong Microseconds, string Text);

/// <summary>
/// The log buffer behind /dev/kmsg and syslog(2): the last lines, old ones make room. Programs write into it too.
/// </summary>
internal static class KernelLog
{
    /// <summary>Lines kept.</summary>
    public const int Capacity = 2048;
    /// <summary>Bytes that a line counts for in SYSLOG_ACTION_SIZE_BUFFER.</summary>
    private const int AverageLineBytes = 128;
    public const int BufferBytes = Capacity * AverageLineBytes;

    private static readonly SpinLock s_lock = new("kernel log");
    private static readonly LogRecord[] s_records = new LogRecord[Capacity];
    private static ulong s_next, s_clearedAt;

    /// <summary>Who waits for the next line.</summary>
    public static Pollee Pollee { get; } = new();

    /// <summary>Keeps the kernel's own lines from now on.</summary>
    public static void Initialize() => Log.Recorder = static (level, microseconds, text) => Add((int)level, microseconds, text);

    /// <summary>Number of the next line to come, and of the oldest one kept.</summary>
    public static ulong Next { get { using SpinLock.Guard guard = s_lock.Lock(); return s_next; } }
    public static ulong Oldest { get { using SpinLock.Guard guard = s_lock.Lock(); return s_next > Capacity ? s_next - Capacity : 0; } }

    /// <summary>The first line that "dmesg -c" has not cleared.</summary>
    public static ulong ClearedAt
    {
        get { using SpinLock.Guard guard = s_lock.Lock(); return s_clearedAt; }
        set { using SpinLock.Guard guard = s_lock.Lock(); s_clearedAt = value; }
    }

    /// <summary>The line with a number; false when it is not there (yet, or any more).</summary>
    public static bool TryGet(ulong sequence, out LogRecord record)
    {
        using SpinLock.Guard guard = s_lock.Lock();
        record = default;
        if (sequence >= s_next || s_next - sequence > Capacity) return false;
        record = s_records[sequence % Capacity];
        return true;
    }

    /// <summary>A program's line (man 4 kmsg): it may begin with its priority, &lt;N&gt;. It appears on the console as the kernel's own do.</summary>
    public static void Write(ReadOnlySpan<byte> bytes)
    {
        const int UserFacility = 8, DefaultLevel = 4, LevelMask = 7;
        int priority = UserFacility | DefaultLevel;
        if (bytes.Length > 2 && bytes[0] == '<')
        {
            int end = bytes.IndexOf((byte)'>');
            if (end > 1 && int.TryParse(bytes[1..end], out int given) && given >= 0)
            {
                priority = (given & ~LevelMask) == 0 ? given | UserFacility : given;
                bytes = bytes[(end + 1)..];
            }
        }
        string text = Encoding.UTF8.GetString(bytes.TrimEnd((byte)'\n'));
        ulong microseconds = Clock.MonotonicNs / 1000;
        Add(priority, microseconds, text);
        if ((priority & LevelMask) < Log.ConsoleLevel) KernelConsole.WriteLine($"[{microseconds / 1000000,5}.{microseconds % 1000000:D6}] {text}");
    }

    /// <summary>As /dev/kmsg shows a line: priority, number, time, a dash; then the text, with what is not printable escaped.</summary>
    public static int Format(in LogRecord record, Span<byte> destination)
    {
        if (!System.Text.Unicode.Utf8.TryWrite(destination, $"{record.Priority},{record.Sequence},{record.Microseconds},-;", out int length)) return 0;
        return AppendText(record.Text, destination, length);
    }

    /// <summary>As syslog(2) shows a line: priority, time in seconds, the text.</summary>
    public static int FormatOld(in LogRecord record, Span<byte> destination)
    {
        ulong seconds = record.Microseconds / 1000000, rest = record.Microseconds % 1000000;
        if (!System.Text.Unicode.Utf8.TryWrite(destination, $"<{record.Priority}>[{seconds,5}.{rest:D6}] ", out int length)) return 0;
        return AppendText(record.Text, destination, length);
    }

    private static int AppendText(string text, Span<byte> destination, int length)
    {
        foreach (char c in text)
        {
            if (length + 5 > destination.Length) break;
            if (c is >= ' ' and < (char)0x7F && c != '\\')
            {
                destination[length++] = (byte)c;
            }
            else if (c < 0x80)
            {
                if (!System.Text.Unicode.Utf8.TryWrite(destination[length..], $"\\x{(int)c:x2}", out int escaped)) break;
                length += escaped;
            }
            else
            {
                length += new Rune(char.IsSurrogate(c) ? '?' : c).EncodeToUtf8(destination[length..]);
            }
        }
        destination[length++] = (byte)'\n';
        return length;
    }

    private static void Add(int priority, ulong microseconds, string text)
    {
        using (SpinLock.Guard guard = s_lock.Lock())
        {
            s_records[s_next % Capacity] = new LogRecord(s_next, priority, microseconds, text);
            s_next++;
        }
        Pollee.Notify(PollEvents.In | PollEvents.ReadNormal);
    }
}
