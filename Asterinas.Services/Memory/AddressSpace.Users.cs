using System.Threading;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Memory;

/// <summary>Who uses the space.</summary>
internal sealed partial class AddressSpace
{
    /// <summary>Whether several processes use it (CLONE_VM).</summary>
    public bool IsShared => Volatile.Read(ref _users) > 1;

    private long _peakPages;

    /// <summary>The most pages that were present at once, as far as it was noted: whenever some go.</summary>
    public long PeakPages => System.Math.Max(Volatile.Read(ref _peakPages), ResidentPages);

    private void NotePeak()
    {
        if (ResidentPages > _peakPages) _peakPages = ResidentPages;
    }

    /// <summary>Takes a program's file: nobody may write to it while the space exists (ETXTBSY).</summary>
    public void SetExecutable(OpenFile? file)
    {
        if (file is null) return;
        file.AddReference();
        Executable = file;
    }

    private void DropExecutable()
    {
        if (Executable is not { } file) return;
        Executable = null;
        file.Release();
    }
}
