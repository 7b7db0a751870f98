using System;
using System.Globalization;
using System.IO;
using System.Text;

namespace Asterinas.Boot.Build;

/// <summary>
/// Writes an initramfs: a cpio archive of the form "newc" (man 5 cpio, the kernel's initramfs buffer format). Everything belongs to root and has the time zero, so that
/// the same content makes the same bytes. A folder must come before what lies in it. <see cref="Dispose"/> writes the trailer and leaves the stream open.
/// </summary>
public sealed class CpioArchive(Stream output) : IDisposable
{
    private const uint DirectoryType = 0x4000, FileType = 0x8000, LinkType = 0xA000, CharacterType = 0x2000, BlockType = 0x6000;
    private const uint PermissionBits = 0xFFF;
    private const int HeaderSize = 110;

    private uint _inode = 1;

    /// <summary>Adds a folder, permissions 0755 unless given.</summary>
    public void AddDirectory(string name, uint permissions = 0x1ED) => Add(name, DirectoryType | permissions & PermissionBits, links: 2, 0, 0, []);

    /// <summary>Adds a file with these bytes.</summary>
    public void AddFile(string name, ReadOnlySpan<byte> content, uint permissions) => Add(name, FileType | permissions & PermissionBits, links: 1, 0, 0, content);

    /// <summary>Adds a symbolic link.</summary>
    public void AddSymbolicLink(string name, string target) => Add(name, LinkType | 0x1FF, links: 1, 0, 0, Encoding.UTF8.GetBytes(target));

    /// <summary>Adds a character device node, as /dev/console must be before a devtmpfs is mounted.</summary>
    public void AddCharacterDevice(string name, uint permissions, uint major, uint minor) => Add(name, CharacterType | permissions & PermissionBits, links: 1, major, minor, []);

    /// <summary>Adds a block device node.</summary>
    public void AddBlockDevice(string name, uint permissions, uint major, uint minor) => Add(name, BlockType | permissions & PermissionBits, links: 1, major, minor, []);

    /// <inheritdoc/>
    public void Dispose()
    {
        _inode = 0;
        Add("TRAILER!!!", 0, links: 1, 0, 0, []);
    }

    private void Add(string name, uint mode, uint links, uint major, uint minor, ReadOnlySpan<byte> content)
    {
        byte[] path = Encoding.UTF8.GetBytes(name.TrimStart('/') + "\0");
        // Fields: inode, mode, uid, gid, links, time, size, device (two), node's device (two), size of the name with its NUL, checksum (not used).
        uint[] fields = [_inode++, mode, 0, 0, links, 0, (uint)content.Length, 0, 0, major, minor, (uint)path.Length, 0];
        var header = new StringBuilder("070701", HeaderSize);
        foreach (uint field in fields) header.Append(field.ToString("X8", CultureInfo.InvariantCulture));
        output.Write(Encoding.ASCII.GetBytes(header.ToString()));
        output.Write(path);
        Pad(HeaderSize + path.Length);
        output.Write(content);
        Pad(content.Length);
    }

    // Headers and contents begin at multiples of four; everything before was padded, so the length of this part decides.
    private void Pad(int length) => output.Write("\0\0\0"u8[..((4 - length % 4) % 4)]);
}
