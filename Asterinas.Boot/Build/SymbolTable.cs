using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// Turns nm's listing into the symbol table of the kernel image (Asterinas.Ostd/Runtime/Boot/StackTrace.cs reads it):
/// uint count; count pairs of uint (address minus __text_start, offset of the name); the names, zero-terminated. Sorted by address.
/// </summary>
public sealed class SymbolTable : Task
{
    [Required]
    public string Listing { get; set; } = "";

    [Required]
    public string Output { get; set; } = "";

    public override bool Execute()
    {
        ulong start = 0, end = 0;
        var functions = new SortedDictionary<ulong, string>();
        foreach (string line in File.ReadAllLines(Listing))
        {
            string[] parts = line.Split(new[] { ' ' }, 3);
            if (parts.Length != 3) continue;
            ulong address = ulong.Parse(parts[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            if (parts[2] == "__text_start") start = address;
            else if (parts[2] == "__text_end") end = address;
            else if ("tTwW".Contains(parts[1]) && !functions.ContainsKey(address)) functions[address] = parts[2];
        }
        var text = new StringBuilder("        .section .ksyms, \"a\", @progbits\n        .balign 8\n");
        var names = new StringBuilder();
        var entries = new StringBuilder();
        uint count = 0, offset = 0;
        foreach (KeyValuePair<ulong, string> function in functions)
        {
            if (function.Key < start || function.Key >= end) continue;
            entries.Append("        .long ").Append((uint)(function.Key - start)).Append(", ").Append(offset).Append('\n');
            names.Append("        .asciz \"").Append(function.Value.Replace("\\", "\\\\").Replace("\"", "\\\"")).Append("\"\n");
            offset += (uint)Encoding.UTF8.GetByteCount(function.Value) + 1;
            count++;
        }
        text.Append("        .long ").Append(count).Append('\n').Append(entries).Append(names);
        text.Append("        .section .note.GNU-stack, \"\", @progbits\n");
        File.WriteAllText(Output, text.ToString());
        if (count == 0) Log.LogError("no function between __text_start and __text_end");
        return !Log.HasLoggedErrors;
    }
}
