using Asterinas.Services.Vfs;

namespace Asterinas.Services;

/// <summary>What is there before the first program.</summary>
internal static class KernelSetup
{
    /// <summary>The first mount namespace.</summary>
    public static MountNamespace RootMounts { get; } = new();

    /// <summary>Makes the root file system and unpacks the initramfs.</summary>
    public static VfsPath MakeRoot() => default;

    /// <summary>Opens the console as descriptors 0, 1 and 2.</summary>
    public static void OpenConsole(Thread thread)
    {
    }

    /// <summary>Mounts what a command expects, and makes the console pass bytes as they are.</summary>
    public static void PrepareForCommand(Thread thread)
    {
    }

    /// <summary>Makes a new session with the console as its terminal.</summary>
    public static void TakeConsole(Thread thread)
    {
    }

    /// <summary>Waits until the console has shown everything.</summary>
    public static void Flush()
    {
    }
}
