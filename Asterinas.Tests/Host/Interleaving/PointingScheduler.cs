using Asterinas.Ostd.Tasks;

namespace Asterinas.Tests.Host.Interleaving;

/// <summary>The default policy with a point of the explorer before and after each answer: it cuts a wake-up in two, the change of state and the way into the run queue.</summary>
internal sealed class PointingScheduler(Explorer explorer) : IScheduler, ILocalRunQueue
{
    private readonly FifoScheduler _honest = new();

    public Task? Current => Queue.Current;

    public ulong SliceDeadlineNs => Queue.SliceDeadlineNs;

    private ILocalRunQueue Queue => _honest.GetLocalRunQueue(0);

    public int Enqueue(Task task, EnqueueReason reason)
    {
        explorer.Point("enqueue");
        int target = _honest.Enqueue(task, reason);
        explorer.Point("enqueued");
        return target;
    }

    public ILocalRunQueue GetLocalRunQueue(int cpu) => this;

    public bool UpdateCurrent(UpdateReason reason)
    {
        explorer.Point("update");
        return Queue.UpdateCurrent(reason);
    }

    public Task? PickNext()
    {
        explorer.Point("pick");
        Task? next = Queue.PickNext();
        explorer.Point("picked");
        return next;
    }

    public Task? DequeueCurrent()
    {
        explorer.Point("dequeue");
        return Queue.DequeueCurrent();
    }
}
