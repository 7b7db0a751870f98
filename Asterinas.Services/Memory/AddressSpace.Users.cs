using System.Threading;

namespace Asterinas.Services.Memory;

/// <summary>Who uses the space.</summary>
internal sealed partial class AddressSpace
{
    /// <summary>Whether several processes use it (CLONE_VM).</summary>
    public bool IsShared => Volatile.Read(ref _users) > 1;
}
