using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Io;
using Asterinas.Ostd.Memory;
using Asterinas.Tests.Host.Pci;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Boot;

public sealed class AcpiRangesTests : MachineFixture
{
    private const uint IoApic = 0xF9000000, LocalApic = 0xF9010000, Hpet = 0xF9020000;

    private static byte[] Fadt()
    {
        byte[] body = new byte[129 - 36];
        void Put(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(offset - 36), value);
        Put(48, 0x7B2);                         // SMI command
        Put(56, 0x7C00);                        // PM1a events
        Put(64, 0x7C04);                        // PM1a control
        Put(76, 0x7C08);                        // timer
        Put(80, 0x7C20);                        // general events
        (body[88 - 36], body[89 - 36], body[91 - 36], body[92 - 36]) = (4, 2, 4, 16);
        body[116 - 36] = 1;
        Put(120, 0x7CF9);                       // reset
        return AcpiTables.Make("FACP", body);
    }

    private static byte[] Madt()
    {
        byte[] body = new byte[8 + 12 + 2];
        BinaryPrimitives.WriteUInt32LittleEndian(body, LocalApic);
        (body[8], body[9]) = (1, 12);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(12), IoApic);
        (body[20], body[21]) = (1, 12);         // cut off by the table's end
        return AcpiTables.Make("APIC", body);
    }

    private static void Keep(string signature, byte[] table)
    {
        AcpiTables.Install(signature, table);
        AcpiRanges.Keep();
        AcpiTables.Remove(signature);
    }

    [Test]
    public void Ports_of_power_management_are_kept()
    {
        Keep("FACP", Fadt());
        foreach (int port in new[] { 0x7B2, 0x7C00, 0x7C03, 0x7C04, 0x7C05, 0x7C08, 0x7C0B, 0x7C20, 0x7C2F, 0x7CF9 }) Assert.That(IoPort.TryAcquire((ushort)port, 1), Is.Null, $"port {port:x}");
        foreach (int port in new[] { 0x7B1, 0x7B3, 0x7C06, 0x7C0C, 0x7C1F, 0x7C30 })
        {
            using IoPort? free = IoPort.TryAcquire((ushort)port, 1);
            Assert.That(free, Is.Not.Null, $"port {port:x}");
        }
    }

    [Test]
    public void Interrupt_controllers_and_the_HPET_are_kept_wherever_they_are()
    {
        Keep("APIC", Madt());
        byte[] body = new byte[56 - 36];
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(44 - 36), Hpet);
        Keep("HPET", AcpiTables.Make("HPET", body));
        foreach (uint start in new[] { IoApic, LocalApic, Hpet }) Assert.That(IoMem.TryAcquire(new PhysicalAddress(start + 0x10), 4), Is.Null);
    }

    [Test]
    public void Truncated_and_random_tables_do_no_harm()
    {
        var random = new Random(1);
        foreach ((string signature, byte[] whole) in new[] { ("FACP", Fadt()), ("APIC", Madt()), ("HPET", AcpiTables.Make("HPET", new byte[20])) })
        {
            for (int length = 36; length < whole.Length; length++) Keep(signature, AcpiTables.Make(signature, whole.AsSpan(36, length - 36)));
            // Lengths only: addresses at random would keep ranges that other tests need.
            for (int round = 0; round < 200 && signature == "APIC"; round++)
            {
                byte[] body = whole[36..];
                body[random.Next(2) == 0 ? 9 : 21] = (byte)random.Next(256);
                Keep(signature, AcpiTables.Make(signature, body));
            }
        }
    }
}
