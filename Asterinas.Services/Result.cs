using System.Diagnostics.CodeAnalysis;

namespace Asterinas.Services;

/// <summary>A value, or the error that stands in its place: failures that a program can cause are values, never exceptions.</summary>
/// <typeparam name="T">The value's type.</typeparam>
public readonly struct Result<T>
{
    private readonly T _value;

    private Result(T value, Errno error)
    {
        _value = value;
        Error = error;
    }

    /// <summary>Why there is no value; <see cref="Errno.None"/> when there is one.</summary>
    public Errno Error { get; }

    /// <summary>Whether there is a value.</summary>
    public bool IsOk => Error == Errno.None;

    /// <summary>The value; the default of the type when there is none.</summary>
    public T Value => _value;

    /// <summary>Takes the value. False when there is an error instead.</summary>
    /// <param name="value">The value.</param>
    /// <param name="error">Why there is none.</param>
    public bool TryGet([NotNullWhen(true)] out T? value, out Errno error)
    {
        value = _value;
        error = Error;
        return Error == Errno.None;
    }

    /// <summary>Success.</summary>
    public static implicit operator Result<T>(T value) => new(value, Errno.None);

    /// <summary>Failure.</summary>
    public static implicit operator Result<T>(Errno error) => new(default!, error);
}
