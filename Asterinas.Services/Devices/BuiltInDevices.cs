using Asterinas.Services.Devices.Tty;

namespace Asterinas.Services.Devices;

/// <summary>The devices that every machine has. Registered at boot, before the first devtmpfs.</summary>
internal static class BuiltInDevices
{
    public static void Initialize()
    {
        MemoryDevices.Initialize();
        KernelLogFile.Initialize();
        ConsoleTty.Initialize();
        FileSystems.DevPts.DevPtsFileSystem.Initialize();
    }
}
