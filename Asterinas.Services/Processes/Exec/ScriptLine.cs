using System;

namespace Asterinas.Services.Processes.Exec;

/// <summary>The first line of a script (man 2 execve, interpreter scripts).</summary>
internal static class ScriptLine
{
    /// <summary>Finds interpreter and argument. ENOEXEC when there is no name, or the name is longer than what was read.</summary>
    /// <param name="start">The file's first bytes, beginning with "#!".</param>
    /// <param name="interpreter">Its path.</param>
    /// <param name="argument">The rest of the line; empty for none.</param>
    public static Errno Parse(ReadOnlySpan<byte> start, out ReadOnlySpan<byte> interpreter, out ReadOnlySpan<byte> argument)
    {
        interpreter = argument = default;
        bool isCut = start.Length == ProgramFile.StartBytes;
        ReadOnlySpan<byte> line = isCut ? start[2..^1] : start[2..];
        int end = line.IndexOf((byte)'\n');
        bool isWhole = end >= 0 || !isCut;
        if (end >= 0) line = line[..end];
        // As Linux looks at it, a zero byte ends the line too.
        int zero = line.IndexOf((byte)0);
        if (zero >= 0) line = line[..zero];
        line = line.TrimStart(" \t"u8);
        if (line.IsEmpty) return Errno.ENOEXEC;
        int blank = line.IndexOfAny((byte)' ', (byte)'\t');
        if (blank < 0 && !isWhole && zero < 0) return Errno.ENOEXEC;
        line = line.TrimEnd(" \t"u8);
        interpreter = blank < 0 ? line : line[..Math.Min(blank, line.Length)];
        if (blank >= 0 && blank < line.Length) argument = line[blank..].TrimStart(" \t"u8);
        return Errno.None;
    }
}
