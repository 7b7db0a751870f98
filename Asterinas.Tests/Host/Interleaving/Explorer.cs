using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Timers;
using NUnit.Framework;
using Task = Asterinas.Ostd.Tasks.Task;

namespace Asterinas.Tests.Host.Interleaving;

/// <summary>
/// Runs a scenario under every interleaving with a bounded number of preemptions. Actor 0 is the simulated machine, whose tasks run on the test's CPU; the others are host
/// threads that stand for further CPUs: they may take spin locks and wake, not block. One actor runs at a time. It may be preempted where it calls the seam to the machine
/// (Machine.OnSchedulePoint) and where the scenario calls <see cref="Point"/>; an actor that spins or halts lets the others go first. Time passes only when all others have
/// ended.
/// </summary>
/// <remarks>What lies between two points is one step: a race inside it is not seen.</remarks>
internal sealed class Explorer : IDisposable
{
    private const int MostPoints = 20000;
    private const int Machine0 = 0;

    private readonly Schedule _schedule = new();
    private readonly int _preemptionBound;
    private readonly Actor[] _others;
    private readonly SemaphoreSlim[] _turns;
    private readonly bool[] _isDone;
    private readonly bool[] _isSpinning;
    private readonly List<string> _trace = [];
    private int _preemptions;
    private bool _isHalted;
    private bool _isRunning;
    private bool _isOver;

    private sealed class Actor(Action body)
    {
        public readonly Action Body = body;
        public readonly SemaphoreSlim Start = new(0), End = new(0);
        public Exception? Failure;
        public Thread? Host;
    }

    [ThreadStatic]
    private static int t_actor;

    /// <param name="preemptionBound">Preemptions a run, at most.</param>
    /// <param name="others">What the actors besides the machine do, once a run.</param>
    public Explorer(int preemptionBound, params Action[] others)
    {
        _preemptionBound = preemptionBound;
        _others = Array.ConvertAll(others, body => new Actor(body));
        _turns = new SemaphoreSlim[others.Length + 1];
        for (int i = 0; i < _turns.Length; i++) _turns[i] = new SemaphoreSlim(0);
        _isDone = new bool[_turns.Length];
        _isSpinning = new bool[_turns.Length];
        for (int i = 0; i < others.Length; i++)
        {
            int number = i + 1;
            Actor actor = _others[i];
            actor.Host = new Thread(() => Serve(actor, number)) { IsBackground = true };
            actor.Host.Start();
        }
    }

    /// <summary>Runs so far.</summary>
    public int Runs { get; private set; }

    /// <summary>Simulated nanoseconds that the machine's part of the present run took.</summary>
    public ulong ElapsedNs { get; private set; }

    /// <summary>Who passed which points in the present run.</summary>
    public string Trace => string.Join(", ", _trace);

    /// <summary>Runs every interleaving.</summary>
    /// <param name="machine">What the test's CPU does; called between <paramref name="before"/> and <paramref name="after"/>.</param>
    /// <param name="before">Sets the scenario up, alone.</param>
    /// <param name="after">Checks, alone; an assertion that fails names the trace.</param>
    public void Run(Action before, Action machine, Action after)
    {
        do
        {
            Runs++;
            before();
            Task.Sleep(1);                  // each run begins with a CPU that comes from idle
            RunOnce(machine);
            if (!_schedule.IsRepeatable) throw new InvalidOperationException($"the scenario depends on something besides the schedule: {Trace}");
            try
            {
                after();
            }
            catch (AssertionException failure)
            {
                throw new AssertionException($"run {Runs}: {failure.Message}\nschedule: {Trace}");
            }
        }
        while (_schedule.Next());
    }

    /// <summary>A place where another actor may come in between. Nothing happens outside a run.</summary>
    public void Point(string name)
    {
        if (!_isRunning || (t_actor == Machine0 && !Machine.IsOwnThread)) return;
        if (_trace.Count == MostPoints) throw new InvalidOperationException("the actors only wait for each other");
        _trace.Add($"{t_actor}:{name}");
        GoOn(t_actor, name);
    }

    /// <summary>Ends the host threads.</summary>
    public void Dispose()
    {
        _isOver = true;
        Machine.OnSchedulePoint = null;
        foreach (Actor actor in _others)
        {
            actor.Start.Release();
            actor.Host!.Join();
        }
    }

    private void RunOnce(Action machine)
    {
        _schedule.Rewind();
        _trace.Clear();
        _preemptions = 0;
        _isHalted = false;
        Array.Clear(_isSpinning);
        Array.Clear(_isDone);
        foreach (Actor actor in _others)
        {
            actor.Failure = null;
            actor.Start.Release();
        }
        ulong start = Clock.MonotonicNs;
        Machine.OnSchedulePoint = Point;
        _isRunning = true;
        try
        {
            machine();
        }
        finally
        {
            Machine.OnSchedulePoint = null;
            ElapsedNs = Clock.MonotonicNs - start;
            Leave(Machine0);
            foreach (Actor actor in _others) actor.End.Wait();
            _isRunning = false;
        }
        foreach (Actor actor in _others)
        {
            if (actor.Failure is not null) throw new InvalidOperationException($"an actor failed; schedule: {Trace}", actor.Failure);
        }
    }

    private void Serve(Actor actor, int number)
    {
        t_actor = number;
        _ = Task.Current;                   // become a task now, not in the first run
        while (true)
        {
            actor.Start.Wait();
            if (_isOver) return;
            _turns[number].Wait();
            try
            {
                actor.Body();
            }
            catch (Exception problem)
            {
                actor.Failure = problem;
            }
            Leave(number);
            actor.End.Release();
        }
    }

    /// <summary>Decides who goes on. Staying is free; giving way is a preemption unless the actor cannot go on by itself.</summary>
    private void GoOn(int self, string point)
    {
        bool mustYield = point is "pause" or "halt";
        if (self == Machine0) _isHalted = point == "halt";
        if (point == "pause") _isSpinning[self] = true; else Array.Clear(_isSpinning);
        List<int> others = Others(self);
        if (others.Count == 0 || (!mustYield && _preemptions == _preemptionBound)) return;
        int choice = _schedule.Decide(mustYield ? others.Count : others.Count + 1);
        if (!mustYield && choice-- == 0) return;
        if (!mustYield) _preemptions++;
        HandTo(others[choice]);
        _turns[self].Wait();
    }

    private void Leave(int self)
    {
        _isDone[self] = true;
        Array.Clear(_isSpinning);
        List<int> others = Others(self);
        if (others.Count > 0) HandTo(others[_schedule.Decide(others.Count)]);
        else if (!_isDone[Machine0]) HandTo(Machine0);
    }

    /// <summary>Who else can go on: not one that spins, until somebody has taken a step; nor a halted machine without an interrupt, which would let time pass.</summary>
    private List<int> Others(int self)
    {
        var others = new List<int>();
        for (int i = 0; i < _isDone.Length; i++)
        {
            if (i != self && !_isDone[i] && !_isSpinning[i] && (i != Machine0 || !_isHalted || Machine.IsEventPending())) others.Add(i);
        }
        return others;
    }

    private void HandTo(int actor) => _turns[actor].Release();
}
