# nginx reads this when it writes objs/Makefile: the rule that builds the Rust
# library, and the dependency on it of what it is linked into (nginx's scripts
# attach a module's dependencies to its C sources, and there are none).
#
# Cargo decides what is out of date, so it runs every time. The recipe that does
# nothing has make look at the library's time again, which cargo may have changed.

cat << END                                                    >> $NGX_MAKEFILE

.PHONY:	ngx_websocket_cargo

ngx_websocket_cargo:
	NGINX_SOURCE_DIR="$ngx_websocket_source_dir" \\
	NGINX_BUILD_DIR="$ngx_websocket_build_dir" \\
	$NGX_CARGO rustc --locked --release --lib --crate-type staticlib \\
		--no-default-features \\
		--manifest-path "$ngx_addon_dir/Cargo.toml" \\
		--target-dir "$ngx_websocket_target_dir"

$ngx_websocket_lib:	ngx_websocket_cargo
	@:

$ngx_websocket_product:	$ngx_websocket_lib

END
