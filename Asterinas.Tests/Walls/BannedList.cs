using System;
using System.Collections.Generic;
using System.IO;

namespace Asterinas.Tests.Walls;

/// <summary>The names of Asterinas.Ostd/Analyzers/BannedSymbols.txt: the compiler and the check of assemblies read the same list.</summary>
internal sealed class BannedList
{
    private readonly HashSet<string> _types = new(StringComparer.Ordinal);
    private readonly HashSet<string> _namespaces = new(StringComparer.Ordinal);
    private readonly HashSet<string> _members = new(StringComparer.Ordinal);

    public BannedList(string path)
    {
        foreach (string line in File.ReadLines(path))
        {
            if (line.Length < 3 || line[1] != ':') continue;
            string name = line[2..].Split(';')[0];
            switch (line[0])
            {
                case 'T': _types.Add(name); break;
                case 'N': _namespaces.Add(name); break;
                case 'M': _members.Add(name.Split('(')[0]); break;
                default: throw new InvalidDataException($"unknown kind of name in {path}: {line}");
            }
        }
    }

    /// <param name="nameSpace">Namespace of the outermost type.</param>
    /// <param name="name">Name of the outermost type, with its arity.</param>
    public bool HasType(string nameSpace, string name)
    {
        if (_types.Contains(nameSpace + "." + name)) return true;
        for (string at = nameSpace; at.Length > 0; at = at.LastIndexOf('.') is > 0 and int dot ? at[..dot] : "")
        {
            if (_namespaces.Contains(at)) return true;
        }
        return false;
    }

    /// <summary>Members are known by name, whatever their parameters are.</summary>
    public bool HasMember(string type, string name) => _members.Contains(type + "." + name);
}
