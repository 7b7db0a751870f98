using System;

namespace Asterinas.Services.Scheduling;

/// <summary>
/// The waiting entities of a fair queue by virtual deadline: an AVL tree with its links in the entities. Each node knows the least virtual run time and the CPUs allowed in
/// its subtree, so that the eligible entity with the earliest deadline, and one that another CPU may take, are found in O(log n). Virtual times wrap: they are compared
/// by the sign of their difference.
/// </summary>
internal sealed class DeadlineTree
{
    private Entity? _root;

    /// <summary>Entities in it.</summary>
    public int Count { get; private set; }

    /// <summary>The one with the earliest deadline, eligible or not.</summary>
    public Entity? First
    {
        get
        {
            Entity? node = _root;
            while (node?.Left is { } left) node = left;
            return node;
        }
    }

    /// <summary>Puts an entity in. Its deadline, run time and weight stay as they are while it is in.</summary>
    public void Insert(Entity entity)
    {
        entity.Left = entity.Right = null;
        // A later change of the affinity counts for the search when the entity is queued the next time.
        entity.AllowedAtInsert = entity.Affinity;
        _root = Insert(_root, entity);
        Count++;
    }

    /// <summary>Takes out an entity that is in.</summary>
    public void Remove(Entity entity)
    {
        _root = Remove(_root, entity);
        entity.Left = entity.Right = null;
        Count--;
    }

    /// <summary>Of those whose run time is not beyond the average the one with the earliest deadline; null when all are beyond.</summary>
    public Entity? EarliestEligible(long average)
    {
        Entity? node = _root;
        while (node is not null)
        {
            if (node.Left is { } left && left.MinVruntime - average <= 0) node = left;
            else if (node.Vruntime - average <= 0) return node;
            else node = node.Right;
        }
        return null;
    }

    /// <summary>The least urgent one that a CPU may take, weighing less than a limit. Looks at no more than a few dozen that are too heavy.</summary>
    public Entity? LastAllowedOn(int cpu, long weightLimit)
    {
        int budget = 32;
        return LastAllowedOn(_root, cpu, weightLimit, ref budget);
    }

    /// <summary>Calls a visitor for each, in order.</summary>
    public void Visit(Action<Entity> visit) => Visit(_root, visit);

    /// <summary>Throws unless the order, the balance and what the nodes know of their subtrees are right. For tests.</summary>
    public void Check()
    {
        int count = 0;
        Entity? last = null;
        Check(_root, ref last, ref count);
        if (count != Count) throw new InvalidOperationException($"{count} entities, {Count} counted");
    }

    private static bool IsBefore(Entity one, Entity other)
    {
        long difference = one.Deadline - other.Deadline;
        return difference != 0 ? difference < 0 : one.Id < other.Id;
    }

    private static Entity Insert(Entity? node, Entity entity)
    {
        if (node is null) return Update(entity);
        if (IsBefore(entity, node)) node.Left = Insert(node.Left, entity); else node.Right = Insert(node.Right, entity);
        return Balance(node);
    }

    private static Entity? Remove(Entity? node, Entity entity)
    {
        if (node is null) throw new InvalidOperationException("the entity is not in the tree");
        if (node == entity)
        {
            if (node.Left is null) return node.Right;
            if (node.Right is null) return node.Left;
            Entity? rest = RemoveFirst(node.Right, out Entity heir);
            heir.Left = node.Left;
            heir.Right = rest;
            return Balance(heir);
        }
        if (IsBefore(entity, node)) node.Left = Remove(node.Left, entity); else node.Right = Remove(node.Right, entity);
        return Balance(node);
    }

    private static Entity? RemoveFirst(Entity node, out Entity first)
    {
        if (node.Left is null)
        {
            first = node;
            return node.Right;
        }
        node.Left = RemoveFirst(node.Left, out first);
        return Balance(node);
    }

    private static Entity Balance(Entity node)
    {
        int lean = HeightOf(node.Left) - HeightOf(node.Right);
        if (lean > 1)
        {
            if (HeightOf(node.Left!.Left) < HeightOf(node.Left.Right)) node.Left = RotateLeft(node.Left);
            return RotateRight(node);
        }
        if (lean < -1)
        {
            if (HeightOf(node.Right!.Right) < HeightOf(node.Right.Left)) node.Right = RotateRight(node.Right);
            return RotateLeft(node);
        }
        return Update(node);
    }

    private static Entity RotateLeft(Entity node)
    {
        Entity top = node.Right!;
        node.Right = top.Left;
        top.Left = Update(node);
        return Update(top);
    }

    private static Entity RotateRight(Entity node)
    {
        Entity top = node.Left!;
        node.Left = top.Right;
        top.Right = Update(node);
        return Update(top);
    }

    private static int HeightOf(Entity? node) => node is null ? 0 : node.Height;

    private static Entity Update(Entity node)
    {
        (node.Height, node.MinVruntime, node.AllowedBelow) = Summary(node);
        return node;
    }

    private static (int Height, long MinVruntime, ulong Allowed) Summary(Entity node)
    {
        long least = node.Vruntime;
        ulong allowed = node.AllowedAtInsert;
        int height = 0;
        if (node.Left is { } left)
        {
            if (left.MinVruntime - least < 0) least = left.MinVruntime;
            allowed |= left.AllowedBelow;
            height = left.Height;
        }
        if (node.Right is { } right)
        {
            if (right.MinVruntime - least < 0) least = right.MinVruntime;
            allowed |= right.AllowedBelow;
            height = Math.Max(height, right.Height);
        }
        return (height + 1, least, allowed);
    }

    private static Entity? LastAllowedOn(Entity? node, int cpu, long weightLimit, ref int budget)
    {
        if (node is null || (node.AllowedBelow >> cpu & 1) == 0 || budget <= 0) return null;
        if (LastAllowedOn(node.Right, cpu, weightLimit, ref budget) is { } found) return found;
        if ((node.AllowedAtInsert >> cpu & 1) != 0 && --budget >= 0 && node.Weight < weightLimit && (node.Affinity >> cpu & 1) != 0) return node;
        return LastAllowedOn(node.Left, cpu, weightLimit, ref budget);
    }

    private static void Visit(Entity? node, Action<Entity> visit)
    {
        if (node is null) return;
        Visit(node.Left, visit);
        visit(node);
        Visit(node.Right, visit);
    }

    private static void Check(Entity? node, ref Entity? last, ref int count)
    {
        if (node is null) return;
        Check(node.Left, ref last, ref count);
        if (last is not null && !IsBefore(last, node)) throw new InvalidOperationException("the order is wrong");
        last = node;
        count++;
        Check(node.Right, ref last, ref count);
        if (Math.Abs(HeightOf(node.Left) - HeightOf(node.Right)) > 1) throw new InvalidOperationException("out of balance");
        if ((node.Height, node.MinVruntime, node.AllowedBelow) != Summary(node)) throw new InvalidOperationException("a node is wrong about its subtree");
    }
}
