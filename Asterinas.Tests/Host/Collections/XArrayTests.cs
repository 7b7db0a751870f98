using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Asterinas.Ostd.Collections;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Collections;

public sealed class XArrayTests
{
    private static readonly XMark[] s_marks = [XMark.Mark0, XMark.Mark1, XMark.Mark2];

    private sealed class Model
    {
        public readonly SortedDictionary<ulong, string> Values = [];
        public readonly HashSet<(ulong, XMark)> Marks = [];
    }

    [Test]
    public void Array_agrees_with_a_sorted_dictionary([Values(1, 2, 3, 4, 5, 6)] int seed)
    {
        var random = new Random(seed);
        var array = new XArray<string>();
        var model = new Model();
        ulong Index() => random.Next(6) switch
        {
            0 => (ulong)random.Next(70),
            1 => (ulong)random.Next(5000),
            2 => 1UL << random.Next(64),
            3 => (1UL << random.Next(64)) - 1,
            4 => ulong.MaxValue - (ulong)random.Next(100),
            _ => model.Values.Count == 0 ? 0 : model.Values.Keys.ElementAt(random.Next(model.Values.Count)),
        };
        for (int step = 0; step < 4000; step++)
        {
            ulong index = Index();
            XMark mark = s_marks[random.Next(3)];
            model.Values.TryGetValue(index, out string? old);
            switch (random.Next(8))
            {
                case 0 or 1:
                    string value = step.ToString();
                    Assert.That(array.Store(index, value), Is.EqualTo(old));
                    model.Values[index] = value;
                    break;
                case 2:
                    Assert.That(array.TryAdd(index, "added", out string? present), Is.EqualTo(old is null));
                    Assert.That(present, Is.EqualTo(old));
                    if (old is null) model.Values[index] = "added";
                    break;
                case 3:
                    Assert.That(array.Erase(index), Is.EqualTo(old));
                    model.Values.Remove(index);
                    foreach (XMark each in s_marks) model.Marks.Remove((index, each));
                    break;
                case 4:
                    Assert.That(array.SetMark(index, mark), Is.EqualTo(old is not null));
                    if (old is not null) model.Marks.Add((index, mark));
                    break;
                case 5:
                    Assert.That(array.ClearMark(index, mark), Is.EqualTo(model.Marks.Remove((index, mark))));
                    break;
                case 6:
                    ulong at = index;
                    ulong last = Index();
                    bool found = array.TryFind(ref at, last, out string? next);
                    var expected = model.Values.Where(pair => pair.Key >= index && pair.Key <= last).Select(pair => (KeyValuePair<ulong, string>?)pair).FirstOrDefault();
                    Assert.That((found, next), Is.EqualTo((expected is not null, expected?.Value)));
                    if (found) Assert.That(at, Is.EqualTo(expected!.Value.Key));
                    break;
                default:
                    at = index;
                    found = array.TryFindMarked(ref at, ulong.MaxValue, mark, out _);
                    ulong? marked = model.Marks.Where(pair => pair.Item1 >= index && pair.Item2 == mark).Select(pair => (ulong?)pair.Item1).Min();
                    Assert.That(found, Is.EqualTo(marked is not null));
                    if (found) Assert.That(at, Is.EqualTo(marked));
                    break;
            }
            Assert.That(array.Load(index), Is.EqualTo(model.Values.GetValueOrDefault(index)));
            Assert.That(array.IsMarked(index, mark), Is.EqualTo(model.Marks.Contains((index, mark))));
            Assert.That(array.Count, Is.EqualTo(model.Values.Count));
            if (step % 100 == 0) Assert.That(All(array), Is.EqualTo(model.Values.Select(pair => (pair.Key, pair.Value))));
        }
        foreach (ulong index in model.Values.Keys.ToArray()) array.Erase(index);
        Assert.That(array.Count, Is.Zero);
        Assert.That(All(array), Is.Empty);
    }

    private static List<(ulong, string)> All(XArray<string> array)
    {
        var all = new List<(ulong, string)>();
        foreach ((ulong index, string value) in array.Between(0, ulong.MaxValue)) all.Add((index, value));
        return all;
    }

    [Test]
    public void Growing_keeps_marks_findable()
    {
        var array = new XArray<string>();
        array.Store(3, "three");
        array.SetMark(3, XMark.Mark1);
        array.Store(ulong.MaxValue, "last");
        Assert.That(array.IsMarked(3, XMark.Mark1), Is.True);
        ulong index = 0;
        Assert.That(array.TryFindMarked(ref index, ulong.MaxValue, XMark.Mark1, out string? value), Is.True);
        Assert.That((index, value), Is.EqualTo((3UL, "three")));
        array.Erase(ulong.MaxValue);
        Assert.That(array.IsMarked(3, XMark.Mark1), Is.True, "shrinking, too");
        array.Erase(3);
        array.Store(3, "new");
        Assert.That(array.IsMarked(3, XMark.Mark1), Is.False, "marks go with their entry");
    }

    [Test]
    public void Cursor_walks_and_changes_entries()
    {
        var array = new XArray<string>();
        foreach (ulong index in new ulong[] { 5, 64, 1UL << 40 }) array.Store(index, index.ToString());
        XArray<string>.Cursor cursor = array.GetCursor(0);
        Assert.That(cursor.Load(), Is.Null);
        var seen = new List<ulong>();
        while (cursor.MoveToNext()) seen.Add(cursor.Index);
        Assert.That(seen, Is.EqualTo(new ulong[] { 5, 64, 1UL << 40 }));
        Assert.That(cursor.Erase(), Is.EqualTo((1UL << 40).ToString()));
        cursor.Index = 64;
        Assert.That(cursor.SetMark(XMark.Mark2) && cursor.IsMarked(XMark.Mark2) && cursor.ClearMark(XMark.Mark2), Is.True);
        Assert.That(cursor.Store("x"), Is.EqualTo("64"));
        Assert.That(() => array.SetMark(0, (XMark)3), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Readers_without_lock_see_each_entry_before_or_after_a_change()
    {
        var array = new XArray<object>();
        var anchor = new object();
        array.Store(1, anchor);
        bool isDone = false;
        Exception? failure = null;
        var readers = new Thread[2];
        for (int i = 0; i < readers.Length; i++)
        {
            readers[i] = new Thread(() =>
            {
                try
                {
                    while (!Volatile.Read(ref isDone))
                    {
                        if (array.Load(1) != anchor) throw new InvalidOperationException("lost an entry that nobody touched");
                        ulong index = 0;
                        if (!array.TryFind(ref index, ulong.MaxValue, out object? found) || found != anchor || index != 1) throw new InvalidOperationException("missed it");
                        foreach ((ulong at, object value) in array.Between(2, ulong.MaxValue))
                        {
                            if ((ulong)value != at) throw new InvalidOperationException("an entry at another's index");
                        }
                    }
                }
                catch (Exception e)
                {
                    failure = e;
                }
            });
            readers[i].Start();
        }
        var random = new Random(1);
        for (int step = 0; step < 30000; step++)
        {
            ulong index = 2 + (ulong)random.NextInt64(1L << random.Next(1, 60));
            if (random.Next(2) == 0) array.Store(index, index);
            else array.Erase(index);
            if (step % 1000 == 999)
            {
                foreach ((ulong at, object value) in array.Between(2, ulong.MaxValue)) array.Erase(at);
            }
        }
        Volatile.Write(ref isDone, true);
        foreach (Thread reader in readers) reader.Join();
        Assert.That(failure, Is.Null);
    }
}
