using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Reflection;
using System.Reflection.Metadata;

namespace Asterinas.Tests.Walls;

/// <summary>What the checks need to know of a type.</summary>
/// <param name="Slot">How a value of it behaves on the evaluation stack.</param>
/// <param name="HasPointer">It is, or is made of, an unmanaged pointer or a function pointer.</param>
/// <param name="HasReference">A value holds references to objects, or may.</param>
/// <param name="IsPinned">A pinned local.</param>
internal readonly record struct Shape(Slot Slot, bool HasPointer, bool HasReference, bool IsPinned = false);

internal enum Slot
{
    Void,
    Other,
    /// <summary>A managed reference to a variable.</summary>
    ByRef,
    /// <summary>An integer of pointer size: what an address outside the type system looks like.</summary>
    Native,
    /// <summary>The address of a block that localloc made: it may be filled and become a span, nothing else.</summary>
    StackBlock,
    /// <summary>The address of constant data of the image.</summary>
    ImageData,
}

/// <summary>Decodes signatures to shapes.</summary>
internal sealed class ShapeProvider : ISignatureTypeProvider<Shape, object?>
{
    // Value types of the framework that are known to hold no reference; any other is taken to hold one.
    private static readonly HashSet<string> s_plain = ["System.Guid", "System.DateTime", "System.TimeSpan", "System.Int128", "System.UInt128", "System.Half", "System.Decimal"];

    public static ShapeProvider Instance { get; } = new();

    public Shape GetPrimitiveType(PrimitiveTypeCode code) => code switch
    {
        PrimitiveTypeCode.Void => new Shape(Slot.Void, false, false),
        PrimitiveTypeCode.IntPtr or PrimitiveTypeCode.UIntPtr => new Shape(Slot.Native, false, false),
        PrimitiveTypeCode.String or PrimitiveTypeCode.Object or PrimitiveTypeCode.TypedReference => new Shape(Slot.Other, false, true),
        _ => new Shape(Slot.Other, false, false),
    };

    public Shape GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte rawTypeKind)
    {
        if (rawTypeKind != (byte)SignatureTypeKind.ValueType) return new Shape(Slot.Other, false, true);
        bool hasReference = reader.GetTypeDefinition(handle).GetFields().Select(reader.GetFieldDefinition)
            .Any(field => (field.Attributes & FieldAttributes.Static) == 0 && field.DecodeSignature(this, null).HasReference);
        return new Shape(Slot.Other, false, hasReference);
    }

    public Shape GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte rawTypeKind)
    {
        TypeReference type = reader.GetTypeReference(handle);
        bool isPlain = rawTypeKind == (byte)SignatureTypeKind.ValueType && s_plain.Contains(reader.GetString(type.Namespace) + "." + reader.GetString(type.Name));
        return new Shape(Slot.Other, false, !isPlain);
    }

    public Shape GetTypeFromSpecification(MetadataReader reader, object? context, TypeSpecificationHandle handle, byte rawTypeKind) =>
        reader.GetTypeSpecification(handle).DecodeSignature(this, context);

    public Shape GetGenericInstantiation(Shape genericType, ImmutableArray<Shape> arguments) =>
        new(Slot.Other, arguments.Any(a => a.HasPointer), genericType.HasReference || arguments.Any(a => a.HasReference));

    public Shape GetArrayType(Shape element, ArrayShape shape) => GetSZArrayType(element);
    public Shape GetSZArrayType(Shape element) => new(Slot.Other, element.HasPointer, true);
    public Shape GetByReferenceType(Shape element) => new(Slot.ByRef, element.HasPointer, true);
    public Shape GetPointerType(Shape element) => new(Slot.Native, true, false);
    public Shape GetFunctionPointerType(MethodSignature<Shape> signature) => new(Slot.Native, true, false);
    public Shape GetPinnedType(Shape element) => element with { IsPinned = true };
    public Shape GetModifiedType(Shape modifier, Shape unmodified, bool isRequired) => unmodified;
    public Shape GetGenericMethodParameter(object? context, int index) => new(Slot.Other, false, true);
    public Shape GetGenericTypeParameter(object? context, int index) => new(Slot.Other, false, true);
}
