using System;
using System.Globalization;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Boot;

namespace Asterinas.Ostd.Diagnostics;

/// <summary>Severity of a log line, with Linux' numbers (man 2 syslog).</summary>
public enum LogLevel
{
    /// <summary>The system is unusable.</summary>
    Emergency = 0,
    /// <summary>Act at once.</summary>
    Alert = 1,
    /// <summary>Critical.</summary>
    Critical = 2,
    /// <summary>An error.</summary>
    Error = 3,
    /// <summary>A warning.</summary>
    Warning = 4,
    /// <summary>Normal but significant.</summary>
    Notice = 5,
    /// <summary>Informational.</summary>
    Info = 6,
    /// <summary>For debugging.</summary>
    Debug = 7,
}

/// <summary>
/// The kernel log: lines below the console level go to the console, with a time stamp. <c>loglevel=N</c> on the command line sets the level
/// (0 to 8: levels below N are shown; default 7), <c>quiet</c> sets it to 4, as on Linux.
/// </summary>
public static class Log
{
    private static int s_consoleLevel = ReadLevel();

    /// <summary>Lines with a level below this one appear on the console; 0 to 8.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The level is outside 0 to 8.</exception>
    public static int ConsoleLevel
    {
        get => s_consoleLevel;
        set => s_consoleLevel = value is >= 0 and <= 8 ? value : throw new ArgumentOutOfRangeException(nameof(value));
    }

    /// <summary>Gets every line, whatever the console shows: level, microseconds since boot, text. Must not block, log or throw. Null: nobody keeps them.</summary>
    public static Action<LogLevel, ulong, string>? Recorder { get; set; }

    /// <summary>Writes a line at a level.</summary>
    /// <param name="level">Severity.</param>
    /// <param name="message">The text, without a line feed.</param>
    public static void Write(LogLevel level, string message)
    {
        ulong microseconds = Machine.MonotonicNs() / 1000;
        Recorder?.Invoke(level, microseconds, message);
        if ((int)level >= s_consoleLevel) return;
        KernelConsole.WriteLine(string.Create(CultureInfo.InvariantCulture, $"[{microseconds / 1000000,5}.{microseconds % 1000000:D6}] {message}"));
    }

    /// <summary>Logs an error.</summary>
    /// <param name="message">The text.</param>
    public static void Error(string message) => Write(LogLevel.Error, message);

    /// <summary>Logs a warning.</summary>
    /// <param name="message">The text.</param>
    public static void Warning(string message) => Write(LogLevel.Warning, message);

    /// <summary>Logs what an administrator wants to know.</summary>
    /// <param name="message">The text.</param>
    public static void Info(string message) => Write(LogLevel.Info, message);

    /// <summary>Logs for debugging.</summary>
    /// <param name="message">The text.</param>
    public static void Debug(string message) => Write(LogLevel.Debug, message);

    private static int ReadLevel()
    {
        int level = BootInfo.Current.GetOption("quiet") is null ? 7 : 4;
        return int.TryParse(BootInfo.Current.GetOption("loglevel"), NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value <= 8 ? value : level;
    }
}
