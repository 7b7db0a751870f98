using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Memory;

namespace Asterinas.Ostd.Dma.Vtd;

/// <summary>
/// Pages of 512 words that a remapping unit walks: root, context and second-level tables, and its queue. Each is a page of state PageTable, which nobody else reaches. A unit
/// that does not look into the CPU's caches gets every change written back before anything depends on it.
/// </summary>
// SAFETY: table addresses come from TryNew and stay allocated until Free, which the owners call when no unit refers to the table; indices are below 512.
internal static unsafe class VtdTable
{
    /// <summary>A zeroed table; 0 when there is no memory.</summary>
    public static ulong TryNew(bool isCoherent)
    {
        ulong table = PageTable.NewTable();
        if (table != 0 && !isCoherent) Machine.FlushCache(Machine.PhysToVirt(table), PageSize.Small);
        return table;
    }

    public static void Free(ulong table) => PageTable.FreeTable(table);

    public static ulong Read(ulong table, int index) => Volatile.Read(ref *Word(table, index));

    public static void Write(ulong table, int index, ulong value, bool isCoherent)
    {
        ulong* word = Word(table, index);
        Volatile.Write(ref *word, value);
        if (!isCoherent) Machine.FlushCache((byte*)word, sizeof(ulong));
    }

    private static ulong* Word(ulong table, int index) => (ulong*)Machine.PhysToVirt(table) + (index & 511);
}
