using System;

namespace Asterinas.Services.Processes;

/// <summary>What uname(2) says. Programs compare the release with the Linux version whose features they want.</summary>
internal static class SystemIdentity
{
    public const string SystemName = "Linux";
    public const string Release = "6.12.0-asterinas";
    /// <summary>The same as a release 2.6: 60 and the second number is the third one.</summary>
    public const string OldRelease = "2.6.72-asterinas";
    public const string Machine = "x86_64";
    public static readonly string Version = $"#1 SMP Asterinas for .NET {Environment.Version}";
}
