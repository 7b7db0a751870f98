using Asterinas.Services.Processes.Exec;

namespace Asterinas.Services.Processes;

/// <summary>What exec changes in a thread.</summary>
internal sealed partial class Thread
{
    internal void ApplyExec(in ExecRights rights)
    {
        Credentials = rights.Credentials;
        HasTooManyProcesses = false;
        if (rights.IsSecure) ParentDeathSignal = 0;
    }
}
