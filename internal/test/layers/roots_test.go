package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// join are the functions that join a root and a name below it to a path. If a program opens
// such a path, the symbolic links of a mounted system can lead out of that system. Only
// internal/files/inroot resolves such paths.
var join = map[string]string{"filepath": "Join", "path": "Join", "os": "OpenInRoot DirFS"}

// resolves reports whether a file may join a root: inroot, and tests and test machines, which are in no
// program.
func resolves(file string) bool {
	for _, folder := range []string{"internal/files/inroot/", "internal/test/machine/", "internal/test/scenes/"} {
		if strings.HasPrefix(file, folder) {
			return true
		}
	}
	return strings.HasSuffix(file, "_test.go")
}

// isRoot reports whether the name of an expression says that it is the root of a system: root,
// o.Root, e.Root().
func isRoot(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return strings.EqualFold(e.Name, "root")
	case *ast.SelectorExpr:
		return strings.EqualFold(e.Sel.Name, "root")
	case *ast.CallExpr:
		return isRoot(e.Fun)
	}
	return false
}

// joins are the places in a file where a root becomes part of a path, or of --root= for systemctl.
func joins(file *ast.File) (found []token.Pos) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if n.Value == `"--root="` { // of systemctl, useradd, ...
				found = append(found, n.Pos())
			}
		case *ast.BinaryExpr:
			if n.Op == token.ADD && isRoot(n.X) {
				if text, ok := n.Y.(*ast.BasicLit); !ok || strings.HasPrefix(text.Value, `"/`) {
					found = append(found, n.Pos())
				}
			}
		case *ast.CallExpr:
			called, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			of, ok := called.X.(*ast.Ident)
			for _, arg := range n.Args {
				if ok && isRoot(arg) && strings.Contains(join[of.Name], called.Sel.Name) {
					found = append(found, n.Pos())
				}
			}
		}
		return true
	})
	return found
}

func TestNobodyJoinsARoot(t *testing.T) {
	const top = "../../.."
	seen := 0
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(top, path)
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || resolves(name) {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		seen++
		for _, at := range joins(file) {
			t.Errorf("%s:%d: a path below a root is resolved by internal/files/inroot alone", name, files.Position(at).Line)
		}
		return nil
	})
	if err != nil || seen < 100 {
		t.Errorf("%d files, %v", seen, err)
	}
}

func TestJoinsAreSeen(t *testing.T) {
	const text = `package p
var a = filepath.Join(root, "etc")
var b = filepath.Join("/", o.Root, "etc")
var c = os.DirFS(e.Root())
var d = root + "/etc"
var e = o.Root + name
var f = run("--root=" + dir)
var g = filepath.Join(dir, "root")
var h = inroot.Open(root, "etc/passwd", 0)
`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(joins(file)); n != 6 {
		t.Errorf("%d of 6 are seen", n)
	}
}
