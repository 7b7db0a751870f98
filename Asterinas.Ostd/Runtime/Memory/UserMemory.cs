using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>Single words and strings of the address space that is active, and whole pages of physical memory.</summary>
// SAFETY: user addresses are checked against the user half here, and the routines answer a fault there; the kernel's side is a buffer of the caller's with the stated size.
internal static unsafe class UserMemory
{
    private const ulong UserEnd = KernelMap.GcBase;
    private const ulong Faulted = 1UL << 63;

    /// <summary>Copies bytes up to and including a zero, at most so many. Returns how many; with the top bit when the next one cannot be read.</summary>
    [RuntimeExport("ostd_copy_user_string")]
    private static nuint CopyString(byte* destination, ulong source, nuint room)
    {
        if (source >= UserEnd) return room == 0 ? 0 : unchecked((nuint)Faulted);
        nuint reachable = (nuint)(UserEnd - source);
        if (room <= reachable) return X64.CopyUserString(destination, (byte*)source, room);
        nuint count = X64.CopyUserString(destination, (byte*)source, reachable);
        // Without a zero up to the end of user memory the next byte is not the program's.
        return count == reachable && destination[count - 1] != 0 ? count | unchecked((nuint)Faulted) : count;
    }

    /// <summary>One load of a word. 0 when it cannot be read or is not aligned.</summary>
    [RuntimeExport("ostd_load_user32")]
    private static int Load(ulong address, uint* found) => (address & 3) == 0 && address < UserEnd && X64.LoadUser((uint*)address, found) == 0 ? 1 : 0;

    /// <summary>One atomic change of a word: 0 set, 1 add, 2 or, 3 and, 4 xor. 0 when it cannot be written or is not aligned.</summary>
    [RuntimeExport("ostd_update_user32")]
    private static int Update(ulong address, int operation, uint operand, uint* found) =>
        (address & 3) == 0 && address < UserEnd && X64.UpdateUser((uint*)address, operation, operand, found) == 0 ? 1 : 0;

    [RuntimeExport("ostd_zero_page")] private static void ZeroPage(ulong physical) => X64.ZeroPage(KernelMap.PhysToVirt(physical));
    [RuntimeExport("ostd_copy_page")] private static void CopyPage(ulong to, ulong from) => X64.CopyPage(KernelMap.PhysToVirt(to), KernelMap.PhysToVirt(from));
}
