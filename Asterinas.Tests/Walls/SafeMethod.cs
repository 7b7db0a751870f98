using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Reflection;
using System.Reflection.Emit;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;

namespace Asterinas.Tests.Walls;

/// <summary>
/// One pass over a method's IL with an abstract evaluation stack: nothing is read, written or called through an address that the type system did not make.
/// Roslyn's own use of such addresses in safe code is known: a <c>stackalloc</c> that becomes a span, and spans over constant data of the image.
/// </summary>
internal sealed class SafeMethod
{
    private static readonly Dictionary<short, OpCode> s_opCodes = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => (OpCode)field.GetValue(null)!)
        .ToDictionary(code => code.Value);

    private readonly MetadataReader _reader;
    private readonly MethodBodyBlock _body;
    private readonly ImmutableArray<Shape> _locals;
    private readonly Shape[] _arguments;
    private readonly bool _returnsByRef, _returnsVoid;
    private readonly Dictionary<int, Slot[]> _stackAt = [];
    private readonly Stack<Slot> _stack = new();
    private readonly SortedSet<string> _found = new(StringComparer.Ordinal);

    public SafeMethod(MetadataReader reader, MethodDefinition method, MethodBodyBlock body)
    {
        _reader = reader;
        _body = body;
        _locals = body.LocalSignature.IsNil ? [] : reader.GetStandaloneSignature(body.LocalSignature).DecodeLocalSignature(ShapeProvider.Instance, null);
        MethodSignature<Shape> signature = method.DecodeSignature(ShapeProvider.Instance, null);
        IEnumerable<Shape> self = signature.Header.IsInstance ? [new Shape(Slot.Other, false, true)] : [];
        _arguments = [.. self, .. signature.ParameterTypes];
        _returnsVoid = signature.ReturnType.Slot == Slot.Void;
        _returnsByRef = signature.ReturnType.Slot == Slot.ByRef;
    }

    /// <summary>Every method that is called or made a delegate, as type and name; a generic one's name ends in angle brackets.</summary>
    public List<(string Type, string Name)> Calls { get; } = [];

    public IEnumerable<string> Check()
    {
        if (_locals.Any(local => local.HasPointer)) _found.Add("a local is a pointer");
        if (_locals.Any(local => local.IsPinned)) _found.Add("a local is pinned");
        if (!_body.LocalVariablesInitialized && _locals.Length > 0) _found.Add("locals do not start as zero");
        foreach (ExceptionRegion region in _body.ExceptionRegions)
        {
            _stackAt[region.HandlerOffset] = region.Kind is ExceptionRegionKind.Catch or ExceptionRegionKind.Filter ? [Slot.Other] : [];
            if (region.Kind == ExceptionRegionKind.Filter) _stackAt[region.FilterOffset] = [Slot.Other];
        }
        BlobReader il = _body.GetILReader();
        bool fallsThrough = true;
        while (il.RemainingBytes > 0)
        {
            if (_stackAt.TryGetValue(il.Offset, out Slot[]? known)) Merge(known, fallsThrough);
            else if (!fallsThrough) _stack.Clear();
            short value = il.ReadByte();
            if (value == 0xFE) value = unchecked((short)(0xFE00 | il.ReadByte()));
            OpCode code = s_opCodes[value];
            if (code.OperandType == OperandType.InlineSwitch) Switch(ref il);
            else Step(code, ReadOperand(code, ref il), il);
            fallsThrough = code.FlowControl is not (FlowControl.Branch or FlowControl.Return or FlowControl.Throw) || code == OpCodes.Jmp;
        }
        return _found;
    }

    private void Merge(Slot[] known, bool fallsThrough)
    {
        // Two ways meet: the more suspicious value counts.
        Slot[] merged = fallsThrough && _stack.Count == known.Length ? known.Zip(_stack.Reverse(), (a, b) => a > b ? a : b).ToArray() : known;
        _stack.Clear();
        foreach (Slot slot in merged) _stack.Push(slot);
    }

    private static int ReadOperand(OpCode code, ref BlobReader il)
    {
        switch (code.OperandType)
        {
            case OperandType.InlineNone: return 0;
            case OperandType.ShortInlineI: case OperandType.ShortInlineVar: return il.ReadByte();
            case OperandType.InlineVar: return il.ReadUInt16();
            case OperandType.ShortInlineBrTarget: return il.ReadSByte() + il.Offset;
            case OperandType.InlineBrTarget: return il.ReadInt32() + il.Offset;
            case OperandType.InlineI8: case OperandType.InlineR: il.ReadInt64(); return 0;
            case OperandType.ShortInlineR: il.ReadSingle(); return 0;
            default: return il.ReadInt32();
        }
    }

    private void Switch(ref BlobReader il)
    {
        Pop();
        var targets = new int[il.ReadInt32()];
        for (int i = 0; i < targets.Length; i++) targets[i] = il.ReadInt32();
        foreach (int target in targets) _stackAt.TryAdd(il.Offset + target, [.. _stack.Reverse()]);
    }

    private void Step(OpCode code, int operand, BlobReader rest)
    {
        string name = code.Name!;
        if (name is "calli" or "jmp" or "arglist" or "mkrefany" or "refanyval" or "refanytype") _found.Add("opcode " + name);
        if (name is "ldftn" or "ldvirtftn")
        {
            if (name == "ldvirtftn") Pop();
            SignatureOf(MetadataTokens.EntityHandle(operand), out string target, out string targetName);
            Calls.Add((target, targetName));
            if (!MakesDelegate(rest)) _found.Add("a function's address that becomes no delegate");
            _stack.Push(Slot.Other);
            return;
        }
        if (name is "call" or "callvirt" or "newobj")
        {
            Call(code, MetadataTokens.EntityHandle(operand));
            return;
        }
        if (code.FlowControl == FlowControl.Return && name == "ret")
        {
            if (!_returnsVoid) Store(Pop(), _returnsByRef);
            return;
        }
        if (name.StartsWith("ldloc", StringComparison.Ordinal) || name.StartsWith("ldarg", StringComparison.Ordinal))
        {
            bool isLocal = name[2] == 'l', isAddress = name.Length > 5 && name[5] == 'a';
            int index = name[^1] is >= '0' and <= '3' ? name[^1] - '0' : operand;
            _stack.Push(isAddress ? Slot.ByRef : isLocal ? _locals[index].Slot : _arguments[index].Slot);
            return;
        }
        if (name.StartsWith("stloc", StringComparison.Ordinal) || name.StartsWith("starg", StringComparison.Ordinal))
        {
            int index = name[^1] is >= '0' and <= '3' ? name[^1] - '0' : operand;
            Store(Pop(), (name[2] == 'l' ? _locals[index] : _arguments[index]).Slot == Slot.ByRef);
            return;
        }
        switch (name)
        {
            case "dup": _stack.Push(_stack.Peek()); return;
            case "pop": Pop(); return;
            case "localloc": Pop(); _stack.Push(Slot.StackBlock); return;
            case "ldsflda": _stack.Push(IsImageData(operand) ? Slot.ImageData : Slot.ByRef); return;
            case "ldfld": Address(Pop()); _stack.Push(FieldSlot(operand)); return;
            case "ldsfld": _stack.Push(FieldSlot(operand)); return;
            case "ldflda": Address(Pop()); _stack.Push(Slot.ByRef); return;
            case "stfld": Store(Pop(), FieldSlot(operand) == Slot.ByRef); Address(Pop()); return;
            case "initobj": Address(Pop()); return;
            case "cpobj": Address(Pop()); Address(Pop()); return;
            case "cpblk": Pop(); Address(Pop(), allowImageData: true); Block(Pop(), name); return;
            case "initblk": Pop(); Pop(); Block(Pop(), name); return;
        }
        if (name.StartsWith("ldind", StringComparison.Ordinal) || name == "ldobj")
        {
            Address(Pop());
            _stack.Push(name == "ldind.i" ? Slot.Native : Slot.Other);
            return;
        }
        if (name.StartsWith("stind", StringComparison.Ordinal) || name == "stobj")
        {
            Store(Pop(), false);
            Slot address = Pop();
            if (address != Slot.StackBlock) Address(address);
            return;
        }
        Other(code, operand, name);
    }

    /// <summary>Arithmetic, comparisons, branches, arrays: by what the instruction set says of operands and results.</summary>
    private void Other(OpCode code, int operand, string name)
    {
        Slot left = Slot.Other, right = Slot.Other;
        int pops = PopCount(code);
        for (int i = 0; i < pops; i++) (left, right) = (Pop(), left);
        bool isSum = code.StackBehaviourPop == StackBehaviour.Pop1_pop1 && code.StackBehaviourPush == StackBehaviour.Push1;
        if (isSum && (left == Slot.StackBlock || right == Slot.StackBlock)) _stack.Push(Slot.StackBlock);
        else
        {
            if (pops > 0 && (left == Slot.StackBlock || right == Slot.StackBlock)) _found.Add("a stack block's address escapes");
            bool isNative = name is "conv.i" or "conv.u" or "ldelem.i" || name.StartsWith("conv.ovf.i", StringComparison.Ordinal) && !char.IsDigit(name["conv.ovf.i".Length..].FirstOrDefault()) ||
                name.StartsWith("conv.ovf.u", StringComparison.Ordinal) && !char.IsDigit(name["conv.ovf.u".Length..].FirstOrDefault()) || isSum && (left == Slot.Native || right == Slot.Native);
            bool isByRef = name is "ldelema" or "unbox" || isSum && (left == Slot.ByRef || right == Slot.ByRef);
            if (isSum && (left is Slot.ByRef or Slot.ImageData || right is Slot.ByRef or Slot.ImageData)) _found.Add("arithmetic on a reference");
            for (int i = 0; i < PushCount(code); i++) _stack.Push(isNative ? Slot.Native : isByRef ? Slot.ByRef : Slot.Other);
        }
        if (code.OperandType is OperandType.InlineBrTarget or OperandType.ShortInlineBrTarget)
        {
            if (name.StartsWith("leave", StringComparison.Ordinal)) _stack.Clear();
            _stackAt.TryAdd(operand, [.. _stack.Reverse()]);
        }
    }

    private void Call(OpCode code, EntityHandle handle)
    {
        MethodSignature<Shape> signature = SignatureOf(handle, out string type, out string method);
        Calls.Add((type, method));
        bool isSpan = code == OpCodes.Newobj && type is "System.Span`1" or "System.ReadOnlySpan`1" && signature.ParameterTypes is [{ HasPointer: true }, _];
        for (int i = signature.ParameterTypes.Length - 1; i >= 0; i--)
        {
            Slot value = Pop();
            if (isSpan && i == 0)
            {
                if (value is not (Slot.StackBlock or Slot.ImageData)) _found.Add("a span over an address");
            }
            else Store(value, signature.ParameterTypes[i].Slot == Slot.ByRef);
        }
        if (!isSpan && (signature.ReturnType.HasPointer || signature.ParameterTypes.Any(p => p.HasPointer))) _found.Add($"call of {type}.{method}, which takes or gives a pointer");
        if (signature.Header.IsInstance && code != OpCodes.Newobj) Address(Pop());
        if (code == OpCodes.Newobj) _stack.Push(Slot.Other);
        else if (signature.ReturnType.Slot != Slot.Void) _stack.Push(signature.ReturnType.Slot);
    }

    private MethodSignature<Shape> SignatureOf(EntityHandle handle, out string type, out string name)
    {
        string arity = handle.Kind == HandleKind.MethodSpecification ? "<>" : "";
        if (handle.Kind == HandleKind.MethodSpecification) handle = _reader.GetMethodSpecification((MethodSpecificationHandle)handle).Method;
        if (handle.Kind == HandleKind.MethodDefinition)
        {
            MethodDefinition method = _reader.GetMethodDefinition((MethodDefinitionHandle)handle);
            (type, name) = (SafeAssembly.NameOf(_reader, method.GetDeclaringType()), _reader.GetString(method.Name) + arity);
            return method.DecodeSignature(ShapeProvider.Instance, null);
        }
        MemberReference member = _reader.GetMemberReference((MemberReferenceHandle)handle);
        (type, name) = (SafeAssembly.NameOf(_reader, member.Parent), _reader.GetString(member.Name) + arity);
        return member.DecodeMethodSignature(ShapeProvider.Instance, null);
    }

    private Slot FieldSlot(int token)
    {
        EntityHandle handle = MetadataTokens.EntityHandle(token);
        return handle.Kind == HandleKind.FieldDefinition
            ? _reader.GetFieldDefinition((FieldDefinitionHandle)handle).DecodeSignature(ShapeProvider.Instance, null).Slot
            : _reader.GetMemberReference((MemberReferenceHandle)handle).DecodeFieldSignature(ShapeProvider.Instance, null).Slot;
    }

    private bool IsImageData(int token)
    {
        EntityHandle handle = MetadataTokens.EntityHandle(token);
        return handle.Kind == HandleKind.FieldDefinition && (_reader.GetFieldDefinition((FieldDefinitionHandle)handle).Attributes & FieldAttributes.HasFieldRVA) != 0;
    }

    /// <summary>The next instruction makes a delegate.</summary>
    private bool MakesDelegate(BlobReader il)
    {
        if (il.RemainingBytes < 5 || il.ReadByte() != OpCodes.Newobj.Value) return false;
        MethodSignature<Shape> signature = SignatureOf(MetadataTokens.EntityHandle(il.ReadInt32()), out _, out _);
        return signature.ParameterTypes is [{ Slot: Slot.Other }, { Slot: Slot.Native, HasPointer: false }];
    }

    private void Address(Slot slot, bool allowImageData = false)
    {
        if (slot is Slot.Native or Slot.StackBlock || slot == Slot.ImageData && !allowImageData) _found.Add("memory is accessed through a number");
    }

    private void Block(Slot slot, string name)
    {
        if (slot != Slot.StackBlock) _found.Add("opcode " + name);
    }

    private void Store(Slot slot, bool isByRef)
    {
        if (slot == Slot.StackBlock) _found.Add("a stack block's address escapes");
        if (isByRef && slot == Slot.Native) _found.Add("a reference is made of a number");
    }

    private Slot Pop() => _stack.TryPop(out Slot slot) ? slot : Slot.Other;

    private static int PopCount(OpCode code) => code.StackBehaviourPop switch
    {
        StackBehaviour.Pop0 => 0,
        StackBehaviour.Pop1 or StackBehaviour.Popi or StackBehaviour.Popref => 1,
        StackBehaviour.Pop1_pop1 or StackBehaviour.Popi_pop1 or StackBehaviour.Popi_popi or StackBehaviour.Popi_popi8 or StackBehaviour.Popi_popr4 or StackBehaviour.Popi_popr8 or
            StackBehaviour.Popref_pop1 or StackBehaviour.Popref_popi => 2,
        _ => 3,
    };

    private static int PushCount(OpCode code) => code.StackBehaviourPush switch
    {
        StackBehaviour.Push0 => 0,
        StackBehaviour.Push1_push1 => 2,
        _ => 1,
    };
}
