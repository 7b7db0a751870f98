using System;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Ipc;

/// <summary>What epoll_ctl(2) takes besides events to wait for.</summary>
[Flags]
internal enum EpollFlags : uint
{
    None = 0,
    Exclusive = 1u << 28,
    WakeUp = 1u << 29,
    OneShot = 1u << 30,
    EdgeTriggered = 1u << 31,
    All = Exclusive | WakeUp | OneShot | EdgeTriggered,
}

/// <summary>A file in an epoll instance: it watches the file, and stands in the instance's ready list when something came. It does not keep the file open.</summary>
internal sealed class EpollItem(Epoll owner, OpenFile file, int descriptor, EpollFlags flags) : PollObserver
{
    public Epoll Owner { get; } = owner;
    public OpenFile File { get; } = file;
    public int Descriptor { get; } = descriptor;

    // Under the instance's lock.
    public PollEvents Mask;
    public EpollFlags Flags = flags;
    public ulong Data;
    public bool IsReady, IsGone;
    public EpollItem? NextReady, PreviousReady;

    // Under Epoll.Links: other instances that watch the same file.
    public EpollItem? NextOfFile;

    public override bool IsExclusive => (Flags & EpollFlags.Exclusive) != 0;

    public override bool OnEvents(PollEvents events) => (events == PollEvents.None || (events & Mask) != 0) && Owner.MakeReady(this);
}
