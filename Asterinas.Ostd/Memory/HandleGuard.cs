using System;

namespace Asterinas.Ostd.Memory;

/// <summary>
/// Watches over a handle of untyped memory: when the collector finds the two without an owner, the finalizer closes the handle. Handles come and go with every page;
/// objects with finalizers are dear to make, so the handle has none, and its guard goes to the next one when it is closed.
/// <code>
///   handle made ── Take: of this thread's few, or a new one ──► watches ── handle closed: Return ──► of this thread's few, or dropped
///                                                                  └────── handle forgotten: the finalizer closes it ──► dropped
/// </code>
/// </summary>
internal sealed class HandleGuard
{
    private const int MostSpare = 32;

    // A thread's own: no other code of the thread comes in between, and its guards are forgotten with it (a guard without a handle does nothing).
    [ThreadStatic]
    private static HandleGuard? t_spare;
    [ThreadStatic]
    private static int t_count;

    private UntypedMemory? _handle;
    private HandleGuard? _next;

    ~HandleGuard() => _handle?.CloseForgotten();

    public static HandleGuard Take(UntypedMemory handle)
    {
        HandleGuard? guard = t_spare;
        if (guard is null)
        {
            guard = new HandleGuard();
        }
        else
        {
            t_spare = guard._next;
            t_count--;
            guard._next = null;
        }
        guard._handle = handle;
        return guard;
    }

    public static void Return(HandleGuard guard)
    {
        guard._handle = null;
        if (t_count >= MostSpare)
        {
            GC.SuppressFinalize(guard);
            return;
        }
        guard._next = t_spare;
        t_spare = guard;
        t_count++;
    }
}
