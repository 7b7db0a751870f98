using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace Asterinas.Tests.Walls;

/// <summary>
/// Reads a compiled assembly and names what safe code cannot contain, however it was compiled. It trusts Roslyn, not the settings that Roslyn ran with:
/// the patterns that it emits for safe C# are known (<see cref="SafeMethod"/>), everything else beyond verifiable IL is a violation.
/// </summary>
internal static class SafeAssembly
{
    /// <summary>Methods with this type as parent are Roslyn's own helpers, for inline arrays and constant data.</summary>
    private const string CompilersType = "<PrivateImplementationDetails>";

    private const string CollectionsMarshal = "System.Runtime.InteropServices.CollectionsMarshal";

    // Referenced by code that Roslyn makes: here the calls are looked at, one by one.
    private static readonly HashSet<string> s_compilersReferences =
        [CollectionsMarshal, "System.Activator", "System.Runtime.CompilerServices.Unsafe", "System.Runtime.InteropServices.MemoryMarshal"];

    public static string[] Violations(Stream image, BannedList banned)
    {
        using var file = new PEReader(image);
        MetadataReader reader = file.GetMetadataReader();
        var found = new SortedSet<string>(StringComparer.Ordinal);
        CheckAttributes(reader, found);
        foreach (TypeDefinitionHandle handle in reader.TypeDefinitions) CheckType(reader, handle, found);
        foreach (MethodDefinitionHandle handle in reader.MethodDefinitions) CheckMethod(file, reader, handle, banned, found);
        for (int row = 1; row <= reader.GetTableRowCount(TableIndex.TypeSpec); row++)
        {
            if (reader.GetTypeSpecification(MetadataTokens.TypeSpecificationHandle(row)).DecodeSignature(ShapeProvider.Instance, null).HasPointer) found.Add("a type made of pointers");
        }
        CheckReferences(reader, banned, found);
        return [.. found];
    }

    /// <summary>Full name of a type; of the outermost one when it is nested.</summary>
    public static string NameOf(MetadataReader reader, EntityHandle handle)
    {
        switch (handle.Kind)
        {
            case HandleKind.TypeReference:
                TypeReference reference = reader.GetTypeReference((TypeReferenceHandle)handle);
                if (reference.ResolutionScope.Kind == HandleKind.TypeReference) return NameOf(reader, reference.ResolutionScope);
                return Join(reader.GetString(reference.Namespace), reader.GetString(reference.Name));
            case HandleKind.TypeDefinition:
                TypeDefinition definition = reader.GetTypeDefinition((TypeDefinitionHandle)handle);
                if (!definition.GetDeclaringType().IsNil) return NameOf(reader, definition.GetDeclaringType());
                return Join(reader.GetString(definition.Namespace), reader.GetString(definition.Name));
            case HandleKind.TypeSpecification:
                BlobReader blob = reader.GetBlobReader(reader.GetTypeSpecification((TypeSpecificationHandle)handle).Signature);
                if (blob.ReadSignatureTypeCode() != SignatureTypeCode.GenericTypeInstance) return "";
                blob.ReadByte();
                return NameOf(reader, blob.ReadTypeHandle());
            default:
                return "";
        }
    }

    private static string Join(string nameSpace, string name) => nameSpace.Length == 0 ? name : nameSpace + "." + name;

    private static void CheckAttributes(MetadataReader reader, SortedSet<string> found)
    {
        // Roslyn marks what it compiled with AllowUnsafeBlocks.
        if (reader.DeclarativeSecurityAttributes.Count > 0) found.Add("a security declaration (SkipVerification)");
        foreach (CustomAttributeHandle handle in reader.CustomAttributes)
        {
            EntityHandle constructor = reader.GetCustomAttribute(handle).Constructor;
            EntityHandle type = constructor.Kind == HandleKind.MemberReference
                ? reader.GetMemberReference((MemberReferenceHandle)constructor).Parent
                : reader.GetMethodDefinition((MethodDefinitionHandle)constructor).GetDeclaringType();
            string name = NameOf(reader, type);
            if (name is "System.Security.UnverifiableCodeAttribute" or "System.Runtime.CompilerServices.IgnoresAccessChecksToAttribute") found.Add("attribute " + name);
        }
    }

    private static void CheckType(MetadataReader reader, TypeDefinitionHandle handle, SortedSet<string> found)
    {
        TypeDefinition type = reader.GetTypeDefinition(handle);
        string name = reader.GetString(type.Name);
        bool isExplicit = (type.Attributes & TypeAttributes.LayoutMask) == TypeAttributes.ExplicitLayout;
        foreach (FieldDefinition field in type.GetFields().Select(reader.GetFieldDefinition))
        {
            Shape shape = field.DecodeSignature(ShapeProvider.Instance, null);
            string fieldName = $"{name}.{reader.GetString(field.Name)}";
            if (shape.HasPointer) found.Add($"{fieldName}: a field is a pointer");
            if (isExplicit && shape.HasReference && (field.Attributes & FieldAttributes.Static) == 0) found.Add($"{fieldName}: explicit layout with a reference");
            if ((field.Attributes & FieldAttributes.HasFieldRVA) != 0 && NameOf(reader, handle) != CompilersType) found.Add($"{fieldName}: a field lies in the image");
        }
    }

    private static void CheckMethod(PEReader file, MetadataReader reader, MethodDefinitionHandle handle, BannedList banned, SortedSet<string> found)
    {
        MethodDefinition method = reader.GetMethodDefinition(handle);
        string type = NameOf(reader, method.GetDeclaringType());
        string name = $"{reader.GetString(reader.GetTypeDefinition(method.GetDeclaringType()).Name)}.{reader.GetString(method.Name)}";
        if ((method.Attributes & MethodAttributes.PinvokeImpl) != 0) found.Add($"{name}: P/Invoke");
        // The runtime itself supplies the members of delegates, and of nothing else.
        bool isRuntime = (method.ImplAttributes & MethodImplAttributes.CodeTypeMask) == MethodImplAttributes.Runtime
            && NameOf(reader, reader.GetTypeDefinition(method.GetDeclaringType()).BaseType) == "System.MulticastDelegate";
        bool isManaged = isRuntime || (method.ImplAttributes & MethodImplAttributes.CodeTypeMask) == MethodImplAttributes.IL;
        if (!isManaged || (method.ImplAttributes & (MethodImplAttributes.InternalCall | MethodImplAttributes.Unmanaged)) != 0) found.Add($"{name}: no managed code");
        MethodSignature<Shape> signature = method.DecodeSignature(ShapeProvider.Instance, null);
        if (signature.ReturnType.HasPointer || signature.ParameterTypes.Any(p => p.HasPointer)) found.Add($"{name}: a pointer in the signature");
        if (method.RelativeVirtualAddress == 0)
        {
            if ((method.Attributes & MethodAttributes.Abstract) == 0 && !isRuntime) found.Add($"{name}: no body");
            return;
        }
        if (type == CompilersType) return;
        var body = new SafeMethod(reader, method, file.GetMethodBody(method.RelativeVirtualAddress));
        foreach (string violation in body.Check()) found.Add($"{name}: {violation}");
        foreach ((string calledType, string called) in body.Calls)
        {
            int dot = calledType.LastIndexOf('.');
            bool isBanned = dot > 0 && banned.HasType(calledType[..dot], calledType[(dot + 1)..]) || banned.HasMember(calledType, called);
            if (isBanned && !IsCompilers(calledType, called, body.Calls)) found.Add($"{name}: {calledType}.{called} is banned");
        }
    }

    /// <summary>Roslyn makes a call of a banned name from innocent C#: <c>new T()</c>, and a collection expression for a list (both calls, as often).</summary>
    private static bool IsCompilers(string type, string name, IReadOnlyList<(string Type, string Name)> calls) => type switch
    {
        "System.Activator" => name == "CreateInstance<>",
        CollectionsMarshal => calls.Count(call => call == (CollectionsMarshal, "SetCount<>")) is > 0 and int count && calls.Count(call => call == (CollectionsMarshal, "AsSpan<>")) == count,
        _ => false,
    };

    private static void CheckReferences(MetadataReader reader, BannedList banned, SortedSet<string> found)
    {
        foreach (TypeReferenceHandle handle in reader.TypeReferences)
        {
            TypeReference type = reader.GetTypeReference(handle);
            if (type.ResolutionScope.Kind == HandleKind.TypeReference) continue;
            string name = NameOf(reader, handle);
            if (banned.HasType(reader.GetString(type.Namespace), reader.GetString(type.Name)) && !s_compilersReferences.Contains(name)) found.Add($"{name} is banned");
        }
    }
}
