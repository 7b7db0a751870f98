using Asterinas.Services.Processes;

namespace Asterinas.Services.Devices.Tty;

/// <summary>A terminal as sessions know it (man 4 tty): line discipline and driver lie behind it.</summary>
internal abstract class Terminal
{
    /// <summary>The session that it controls; under the tree lock.</summary>
    public Session? Session;
    /// <summary>The foreground process group; under the tree lock.</summary>
    public ProcessGroup? Foreground;
    /// <summary>Its device number.</summary>
    public abstract Vfs.DeviceNumber Device { get; }
}
