namespace Asterinas.Services.Processes;

/// <summary>The process and its controlling terminal.</summary>
internal sealed partial class Process
{
    /// <summary>Whether it gave the session's controlling terminal up for itself (TIOCNOTTY without leading the session). Under the tree lock.</summary>
    public bool HasLeftTerminal;
}
