using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Sync;

/// <summary>A class of locks: all locks that are constructed with one name.</summary>
internal sealed class LockClass(string name)
{
    public readonly string Name = name;
    // Classes that were taken while one of this class was held.
    public readonly HashSet<LockClass> Below = [];
}

/// <summary>Two classes of locks were taken in both orders: a deadlock waits for its moment.</summary>
public sealed class LockOrderException(string message) : InvalidOperationException(message);

/// <summary>
/// The lock-order checker of test builds: it learns which class is taken under which and throws when an order contradicts what it has seen. Off by default
/// (<c>lockorder</c> on the command line, or <see cref="IsEnabled"/>).
/// </summary>
public static class LockOrder
{
    private const int MaxHeld = 16;

    private static readonly Dictionary<string, LockClass> s_classes = new(StringComparer.Ordinal);
    private static int s_guard;

    [ThreadStatic]
    private static LockClass?[]? t_held;

    [ThreadStatic]
    private static int t_count;

    /// <summary>Whether orders are learned and checked.</summary>
    public static bool IsEnabled { get; set; }

    internal static LockClass Class(string name)
    {
        Enter();
        if (!s_classes.TryGetValue(name, out LockClass? known)) s_classes.Add(name, known = new LockClass(name));
        Exit();
        return known;
    }

    /// <summary>Called before a lock is waited for: a wrong order is reported instead of a deadlock.</summary>
    internal static void Acquiring(LockClass? taken)
    {
        if (!IsEnabled || taken is null) return;
        LockClass?[] held = t_held ??= new LockClass?[MaxHeld];
        for (int i = 0; i < t_count; i++)
        {
            LockClass outer = held[i]!;
            if (outer == taken) continue;
            Enter();
            bool known = !outer.Below.Add(taken);
            bool cycle = !known && Reaches(taken, outer, []);
            if (cycle) outer.Below.Remove(taken);
            Exit();
            if (!cycle) continue;
            throw new LockOrderException($"'{taken.Name}' is taken while '{outer.Name}' is held, but elsewhere the other way round");
        }
        Acquired(taken);
    }

    internal static void Acquired(LockClass? taken)
    {
        if (!IsEnabled || taken is null) return;
        LockClass?[] held = t_held ??= new LockClass?[MaxHeld];
        if (t_count < MaxHeld) held[t_count++] = taken;
    }

    internal static void Released(LockClass? taken)
    {
        if (taken is null || t_held is not { } held) return;
        for (int i = t_count - 1; i >= 0; i--)
        {
            if (held[i] != taken) continue;
            Array.Copy(held, i + 1, held, i, t_count - i - 1);
            held[--t_count] = null;
            return;
        }
    }

    /// <summary>Forgets what was learned: for tests.</summary>
    internal static void Reset()
    {
        Enter();
        foreach (LockClass known in s_classes.Values) known.Below.Clear();
        Exit();
    }

    private static bool Reaches(LockClass from, LockClass to, HashSet<LockClass> seen)
    {
        if (from == to) return true;
        if (!seen.Add(from)) return false;
        foreach (LockClass next in from.Below)
        {
            if (Reaches(next, to, seen)) return true;
        }
        return false;
    }

    private static void Enter()
    {
        while (Interlocked.CompareExchange(ref s_guard, 1, 0) != 0) Machine.Pause();
    }

    private static void Exit() => Volatile.Write(ref s_guard, 0);
}
