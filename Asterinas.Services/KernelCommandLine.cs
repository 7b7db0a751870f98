using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Asterinas.Services;

/// <summary>
/// The kernel command line (man 7 bootparam): words for the kernel, and the rest for the first program. Words with "=" that the kernel does not know become its environment, others its
/// arguments, everything behind "--" too. Double quotes keep blanks together. Words with a dot before "=" are for modules: nobody's here, unless they begin with "asterinas.".
/// </summary>
internal sealed class KernelCommandLine
{
    // As on Linux: more is a mistake.
    private const int MaxWords = 32;

    private static readonly HashSet<string> s_known =
    [
        "console", "quiet", "debug", "loglevel", "panic", "init", "rdinit", "root", "rootfstype", "rootflags", "rootwait", "rootdelay", "ro", "rw", "initrd", "noinitrd", "mem",
        "maxcpus", "nosmp", "nr_cpus", "lockorder", "mitigations", "nokaslr", "earlyprintk", "acpi", "noapic", "nolapic", "hostname", "ip", "iommu", "pci", "reboot", "printk.time",
        "single_step", "trace",
    ];

    public static readonly KernelCommandLine Empty = new();

    private KernelCommandLine()
    {
    }

    /// <summary>init=; null for none.</summary>
    public string? Init { get; private set; }
    /// <summary>rdinit=; null for none.</summary>
    public string? InitramfsInit { get; private set; }
    /// <summary>panic=: seconds until the machine is switched off.</summary>
    public int PanicSeconds { get; private set; }
    /// <summary>asterinas.exec=: a shell command in base64 to run instead of an init; null for none.</summary>
    public byte[]? Command { get; private set; }
    /// <summary>asterinas.raw: the console neither echoes nor changes line ends.</summary>
    public bool IsConsoleRaw { get; private set; }
    /// <summary>asterinas.mark: the console says where the command's output begins, with two bytes 0x1E.</summary>
    public bool MarksOutput { get; private set; }
    /// <summary>hostname=.</summary>
    public string HostName { get; private set; } = "(none)";
    /// <summary>Arguments for the first program, without its name.</summary>
    public List<string> Arguments { get; } = [];
    /// <summary>Its environment.</summary>
    public List<string> Environment { get; } = ["HOME=/", "TERM=linux"];

    public static KernelCommandLine Parse(string text)
    {
        var line = new KernelCommandLine();
        bool isBehind = false;
        foreach (string word in Words(text))
        {
            if (isBehind) line.AddArgument(word);
            else if (word == "--") isBehind = true;
            else line.Take(word);
        }
        return line;
    }

    private void Take(string word)
    {
        int equals = word.IndexOf('=', StringComparison.Ordinal);
        string name = equals < 0 ? word : word[..equals], value = equals < 0 ? "" : word[(equals + 1)..];
        switch (name)
        {
            case "init":
                Init = value;
                // As on Linux: arguments before it were for somebody else.
                Arguments.Clear();
                return;
            case "rdinit":
                InitramfsInit = value;
                Arguments.Clear();
                return;
            case "panic":
                PanicSeconds = int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int seconds) ? seconds : 0;
                return;
            case "hostname":
                if (value.Length is > 0 and <= 64) HostName = value;
                return;
            case "asterinas.raw":
                IsConsoleRaw = true;
                return;
            case "asterinas.mark":
                MarksOutput = true;
                return;
            case "asterinas.exec":
                Command = Decode(value);
                return;
        }
        if (s_known.Contains(name)) return;
        int dot = name.IndexOf('.', StringComparison.Ordinal);
        if (dot >= 0) return;
        if (equals < 0) AddArgument(word);
        else AddEnvironment(name, word);
    }

    private void AddArgument(string word)
    {
        if (Arguments.Count < MaxWords) Arguments.Add(word);
    }

    private void AddEnvironment(string name, string word)
    {
        for (int i = 0; i < Environment.Count; i++)
        {
            if (!Environment[i].StartsWith(name + "=", StringComparison.Ordinal)) continue;
            Environment[i] = word;
            return;
        }
        if (Environment.Count < MaxWords) Environment.Add(word);
    }

    private static byte[]? Decode(string value)
    {
        var bytes = new byte[value.Length];
        return Convert.TryFromBase64String(value, bytes, out int length) ? bytes[..length] : null;
    }

    private static List<string> Words(string text)
    {
        var words = new List<string>();
        var word = new StringBuilder();
        bool isQuoted = false, hasWord = false;
        foreach (char c in text)
        {
            if (c == '"')
            {
                isQuoted = !isQuoted;
                hasWord = true;
            }
            else if (char.IsWhiteSpace(c) && !isQuoted)
            {
                if (hasWord) words.Add(word.ToString());
                word.Clear();
                hasWord = false;
            }
            else
            {
                word.Append(c);
                hasWord = true;
            }
        }
        if (hasWord) words.Add(word.ToString());
        return words;
    }
}
