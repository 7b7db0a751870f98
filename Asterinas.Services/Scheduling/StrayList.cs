namespace Asterinas.Services.Scheduling;

/// <summary>Entities that a queue had to give up and that somebody has to place, once no lock is held. They are linked through themselves.</summary>
internal struct StrayList
{
    private Entity? _first;

    /// <summary>Adds an entity that is in no queue.</summary>
    public void Push(Entity entity)
    {
        entity.Next = _first;
        _first = entity;
    }

    /// <summary>Takes one out; null when there is none.</summary>
    public Entity? Pop()
    {
        Entity? entity = _first;
        if (entity is null) return null;
        _first = entity.Next;
        entity.Next = null;
        return entity;
    }
}
