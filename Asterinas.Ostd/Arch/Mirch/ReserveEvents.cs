using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Runtime;

/// <summary>The reserve runs low: an event of the simulated CPU.</summary>
internal static class ReserveEvents
{
    public static void NoteLow() => Machine.NoteReserveLow();
}
